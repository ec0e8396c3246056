"""What every lab proves before one's eyes: equal shares, one request at four places, fail-over, IPv6.

The lab has the services `web` and `web6`, with the same servers. A Surprise ends it where something comes out
otherwise than expected.
"""

import time
from typing import Any

from rich.text import Text

from swlb.config import Check, Service
from swlb.durations import duration_text
from swlb.explain import worst_time_to_down
from swlb.lab import Lab
from swlb.lab.places import one_request
from swlb.lab.requests import Surprise, address_of, equal_shares, expect, l4_port_of, request, sessions_total, url_of
from swlb.lab.voice import Voice

REQUESTS = 300
REQUESTS_WHILE_OUT = 60
REQUESTS_AFTERWARDS = 30
REQUESTS_IPV6 = 30
FIGURES_S = 5.0  # swlb's figures lag by 100 ms; a busy machine may take longer
PATIENCE_S = 15.0  # for what takes a second or two
BAR_PER = 5  # requests

NUMBER = "bold"
GOOD = "green"


def prove(lab: Lab, say: Voice, *, ttl_step: int, because: str) -> None:
    """All parts, one after the other. `ttl_step` is by how much swlb lowers a TTL, `because` says why."""
    shares(lab, say)
    one_request(lab, say, ttl_step=ttl_step, because=because)
    fail_over(lab, say)
    ipv6(lab, say)


def shares(lab: Lab, say: Voice) -> None:
    """Every server has answered the same number of requests, as the client and as swlb count them."""
    service = lab.config.services["web"]
    say.heading(f"{REQUESTS} requests to {url_of(service)}, each over a connection of its own")
    before = sessions_total(lab, service)
    answered = _count(lab, say, service, REQUESTS)

    def counted() -> dict[str, int]:
        return {name: total - before[name] for name, total in sessions_total(lab, service).items()}

    lab.wait(lambda: sum(counted().values()) >= REQUESTS, f"swlb has counted {REQUESTS} sessions", FIGURES_S)
    totals = counted()
    rows = [_share(service, name, answered.get(name, 0), totals[name]) for name in service.servers]
    say.table(("server", "address", "answered", "", "sessions_total"), rows, right=("answered", "sessions_total"))
    expected = equal_shares(list(service.servers), REQUESTS)
    expect("answers by server", answered, expected)
    expect("sessions_total by server, of `swlb show servers`", totals, expected)


def fail_over(lab: Lab, say: Voice) -> None:
    """A server whose program ended was taken out in time; nobody noticed; it came back to its share."""
    service = lab.config.services["web"]
    assert service.check is not None
    name = list(service.servers)[1]
    host = lab.hosts[name]
    assert host.server is not None, "Host.http comes first"
    say.heading(f"{name} fails: its HTTP server is stopped")
    moment = time.time()
    host.end(host.server)
    with say.waiting(f"waiting until swlb takes {name} out"):
        took = _event(lab, "server_down", service, name, since=moment) - moment
    bound = worst_time_to_down(service.check)
    say(Text.assemble("out after ", (f"{took:.2f} s", NUMBER), f"; at most {bound:.2f} s: {_rule(service.check)}"))
    if took > bound:
        raise Surprise(f"how long until {name} was out", seen=f"{took:.2f} s", expected=f"at most {bound:.2f} s")
    others = [other for other in service.servers if other != name]
    _count_and_expect(lab, say, service, REQUESTS_WHILE_OUT, others, "while it is out")
    _come_back(lab, say, service, name)


def ipv6(lab: Lab, say: Voice) -> None:
    """The same over IPv6, in short."""
    service = lab.config.services["web6"]
    say.heading(f"The same over IPv6, {url_of(service)}")
    _count_and_expect(lab, say, service, REQUESTS_IPV6, list(service.servers), "over IPv6")


def _come_back(lab: Lab, say: Voice, service: Service, name: str) -> None:
    moment = time.time()
    lab.hosts[name].http(l4_port_of(service, name))
    with say.waiting(f"it is started again; waiting until swlb uses {name}"):
        took = _event(lab, "server_up", service, name, since=moment) - moment
        lab.wait(lab.all_serve, "every server is up", PATIENCE_S)
    say(Text.assemble("started again, in use after ", (f"{took:.2f} s", NUMBER)))
    _count_and_expect(lab, say, service, REQUESTS_AFTERWARDS, list(service.servers), "after that")


def _count(lab: Lab, say: Voice, service: Service, count: int) -> dict[str, int]:
    with say.counting(count, "requests") as one_more:
        return request(lab, service, count, one_more)


def _count_and_expect(lab: Lab, say: Voice, service: Service, count: int, names: list[str], when: str) -> None:
    """The requests were answered by those servers, and by each as often as by the others."""
    answered = _count(lab, say, service, count)
    tally = "  ".join(f"{name} {answered.get(name, 0)}" for name in service.servers)
    say(Text.assemble((f"{sum(answered.values())} of {count}", NUMBER), f" requests {when} answered: ", (tally, GOOD)))
    expect(f"answers {when}", answered, equal_shares(names, count))


def _event(lab: Lab, kind: str, service: Service, server: str, *, since: float) -> float:
    """When it happened, in Unix seconds; waited for."""

    def found() -> dict[str, Any] | None:
        wanted = {"kind": kind, "service": service.name, "server": server}
        return next((row for row in lab.show("events") if row["time"] >= since and wanted.items() <= row.items()), None)

    event = lab.wait(found, f"{server} is {kind.removeprefix('server_')}", PATIENCE_S)
    assert event is not None
    return event["time"]


def _rule(check: Check) -> str:
    return f"{check.retries} failed checks in a row, one every {duration_text(check.interval)}"


def _share(service: Service, name: str, answered: int, counted: int) -> tuple[str | Text, ...]:
    return (name, address_of(service, name), str(answered), Text("█" * (answered // BAR_PER), GOOD), str(counted))
