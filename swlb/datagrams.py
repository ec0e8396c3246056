"""How long a client's datagrams go to one server, in words."""

from collections.abc import Iterator

from swlb.config import Service
from swlb.config.source import counted
from swlb.durations import duration_text


def datagram_words(service: Service) -> str:
    """When a client of the service is scheduled anew though it was not idle; "" where that never happens."""
    clauses = "; ".join(_clauses(service))
    return f"datagrams: {clauses}." if clauses else ""


def _clauses(service: Service) -> Iterator[str]:
    requests, responses = service.datagrams_a_choice, service.responses
    if requests == 1:
        yield "each one of a client is scheduled anew"
    elif requests:
        yield f"after {requests} of a client the next is scheduled anew"
    if responses:
        rest = duration_text(service.timeouts.tcp_closed)
        due = counted(responses, "reply", "replies")
        yield f"after {due} to each of a client's the next is scheduled anew, and the session is gone {rest} later"
    if requests and not service.is_direct:
        idle = duration_text(service.timeouts.udp)
        yield f"replies of servers chosen before still reach the client, for {idle} at least"
