"""The requests of a lab's hosts, and who answered them. The servers of its services are hosts of the same names."""

import sys
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address
from subprocess import PIPE

from swlb.addresses import Address, endpoint_text
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


def request(
    lab: Lab, url: str, count: int, one_more: Callable[[], None] = lambda: None, *, caller: str = CLIENT
) -> dict[str, int]:
    """How many of `count` requests each server answered; `one_more` is called at every answer.

    Each has a connection of its own. Raises Surprise at the first that nobody answers.
    """
    host = lab.hosts[caller]
    child = host.popen(sys.executable, "-I", HTTP_PROGRAM, "get", url, str(count), stdout=PIPE, text=True)
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
        host.end(child)
    expect(f"requests to {url} that were answered", answered.total(), count)
    return dict(sorted(answered.items()))


def attempt(lab: Lab, url: str, *, caller: str, patience_s: float) -> str:
    """What a request came to that may be in vain: who answered, or "!" and the reason why nobody did."""
    words = ("get", url, "1", str(patience_s))
    return lab.hosts[caller].run(sys.executable, "-I", HTTP_PROGRAM, *words).stdout.strip()


def equal_shares(names: list[str], count: int) -> dict[str, int]:
    """What taking turns gives each of them."""
    return dict.fromkeys(names, count // len(names))


def sessions_total(lab: Lab, service: Service) -> dict[str, int]:
    """The figure of each of the service's servers in `swlb show servers`."""
    return {row["server"]: row["sessions_total"] for row in lab.show("servers") if row["service"] == service.name}


def url_of(service: Service, vip: Address | None = None) -> str:
    """http://10.0.1.100/ of that VIP, or of its first."""
    vip = vip or service.vips[0]
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
