"""What a probe asks, and how it ends. No I/O.

The status of an Outcome is a verdict code as HAProxy's users know them:

| status | meaning |
|---|---|
| L2TOUT | the server, or the gateway towards it, does not answer ARP or neighbour discovery |
| L3OK, L3TOUT | the echo came back; it did not within `response` |
| L3UNR | something on the way says that the server cannot be reached, or there is no route |
| L4OK, L4TOUT | the handshake was completed; nothing answered within `response` |
| L4CON | the connection was refused, or reset before it stood |
| L6OK, L6TOUT, L6RSP | TLS stands; it did not within `response`; what came instead is no TLS, or no good certificate |
| L7OK, L7TOUT | what was asked for came; it did not within `response` |
| L7RSP | what came does not speak the protocol |
| L7STS | it does, and says no: a status, a content or a word that was not asked for |
| PROCOK, PROCERR, PROCTOUT | a program ended well; otherwise; not within `response` |
| SOCKERR | this host could not even ask: no descriptors, no such device, no permission |
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: an address, and an l4_port where the kind of probe needs one.

    `forced_to` is whom packets are for when the address is a VIP, `advice` what to look at when that server is silent.
    The names are for programs.
    """

    address: Address
    l4_port: int | None = None
    service: str = ""
    server: str = ""
    forced_to: Address | None = None
    advice: str = ""

    def __str__(self) -> str:
        at = str(self.address)
        if self.l4_port is not None:
            at = f"[{at}]:{self.l4_port}" if self.address.version == 6 else f"{at}:{self.l4_port}"
        return at if self.forced_to is None else f"{at} on server {self.forced_to}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a server said of itself to an agent check; None of whatever it did not mention.

    `health` is up, down, fail or stopped, `admin` ready, drain or maint; `weight` is a number, or with
    `weight_is_percent` a share of the configured one. Spec: HAProxy management guide, agent checks.
    """

    health: str | None = None
    admin: str | None = None
    weight: int | None = None
    weight_is_percent: bool = False
    max_connections: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one probe ended: `detail` is a sentence for people, `duration_ms` what it took, a silent one included.

    `ok` is None where the probe says nothing of the server: an agent that is not there. `phases` are the
    milliseconds of its steps by name (connect, tls, first_byte, body ...), in their order. `warning` is what will go
    wrong before long though nothing has yet: a certificate that ends soon.
    """

    ok: bool | None
    status: str
    detail: str
    duration_ms: float
    phases: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    report: Report | None = None
    warning: str = ""


class Stopwatch:
    """Milliseconds since it was made, and those of each phase that was ended by lap()."""

    def __init__(self) -> None:
        self._began = self._lap = time.monotonic()
        self.phases: dict[str, float] = {}

    @property
    def ms(self) -> float:
        """Milliseconds until now."""
        return (time.monotonic() - self._began) * 1000

    def lap(self, phase: str) -> None:
        """The phase has ended; the next begins."""
        now = time.monotonic()
        self.phases[phase] = (now - self._lap) * 1000
        self._lap = now
