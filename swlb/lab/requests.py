"""The requests of a lab's client, and who answered them.

The lab has a host `client`, and services whose servers are hosts of the same names.
"""

import sys
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address
from subprocess import PIPE

from swlb.addresses import endpoint_text
from swlb.config import Service
from swlb.errors import SwlbError
from swlb.lab import Lab
from swlb.lab.host import HTTP_PROGRAM

CLIENT = "client"
HTTP_PORT = 80


class Surprise(SwlbError):  # noqa: N818  (the word of those who see it)
    """A lab has seen something else than what it wanted to show."""

    def __init__(self, what: str, *, seen: object, expected: object) -> None:
        super().__init__(f"{what}: seen {seen}; expected {expected}")


def expect(what: str, seen: object, expected: object) -> None:
    """They are equal. Raises Surprise where they are not."""
    if seen != expected:
        raise Surprise(what, seen=seen, expected=expected)


def request(lab: Lab, service: Service, count: int, one_more: Callable[[], None] = lambda: None) -> dict[str, int]:
    """How many of `count` requests to the service each server answered; `one_more` is called at every answer.

    Each has a connection of its own. Raises Surprise at the first that nobody answers.
    """
    url = url_of(service)
    client = lab.hosts[CLIENT]
    child = client.popen(sys.executable, "-I", HTTP_PROGRAM, "get", url, str(count), stdout=PIPE, text=True)
    assert child.stdout is not None
    answered: Counter[str] = Counter()
    try:
        with child.stdout as lines:
            for line in lines:
                if line.startswith("!"):
                    seen = f"{line[1:].strip()!r} at request {answered.total() + 1} of {count}"
                    raise Surprise(f"requests to {url}", seen=seen, expected="an answer to every one")
                answered[line.strip()] += 1
                one_more()
    finally:
        client.end(child)
    expect(f"requests to {url} that were answered", answered.total(), count)
    return dict(sorted(answered.items()))


def equal_shares(names: list[str], count: int) -> dict[str, int]:
    """What taking turns gives each of them."""
    return dict.fromkeys(names, count // len(names))


def sessions_total(lab: Lab, service: Service) -> dict[str, int]:
    """The figure of each of the service's servers in `swlb show servers`."""
    return {row["server"]: row["sessions_total"] for row in lab.show("servers") if row["service"] == service.name}


def url_of(service: Service) -> str:
    """http://10.0.1.100/ of its first VIP."""
    vip = service.vips[0]
    host = f"[{vip}]" if isinstance(vip, IPv6Address) else str(vip)
    l4_port = "" if service.port_first == HTTP_PORT else f":{service.port_first}"
    return f"http://{host}{l4_port}/"


def vip_of(service: Service) -> str:
    """10.0.1.100:80, its first VIP with its port."""
    return endpoint_text(service.vips[0], service.port_first)


def address_of(service: Service, name: str) -> str:
    """10.0.2.11:8080, where the server of that name listens."""
    return endpoint_text(service.servers[name].address, l4_port_of(service, name))


def l4_port_of(service: Service, name: str) -> int:
    """Where the server of that name listens; without a port of its own, where the service does."""
    return service.servers[name].port or service.port_first
