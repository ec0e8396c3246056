"""What becomes of the sessions of a server that leaves the configuration, alone or with its service.

A server that has left keeps its TCP connections to their end, if it serves; UDP is scheduled anew at its next packet.
Whatever a client sends to a VIP that has left, too, reaches swlb as any other address would: nobody answers.
What is told here, session_goes_on and session_ended_badly of ext/forward do.
"""

from enum import Enum

from swlb.changes import is_same_service
from swlb.config import Config, Server, Service
from swlb.config.source import counted
from swlb.effect import fates_of


class Fate(Enum):
    """What becomes of a session, in words for one and for several."""

    GOES_ON = "goes on to its end", "go on to their end"
    ANEW = "gets another server at its next packet", "get another server at their next packet"
    REFUSED = "is refused at its next packet", "are refused at their next packet"
    ENDS = "ends at its next packet, as the server is down", "end at their next packet, as the server is down"
    SILENT = "gets no answer, as the server is down", "get no answer, as the server is down"
    CUT = "gets no answer any more, as its VIP leaves", "get no answer any more, as their VIP leaves"


# What the operator can do about a fate.
ADVICE = {Fate.CUT: "drain the servers first to let them end"}


def fate_of(service: Service, server: Server, after: Config, *, serves: bool) -> Fate:
    """What becomes of the server's sessions once `after` is in force, in which it is not. `serves`: it is not down."""
    # A tunnel carries clients of either family, and which of them has which session is not known here.
    vips = [vip for vip in service.vips if service.is_tunnel or vip.version == server.address.version]
    if not all(any(vip in other.vips for other in after.services.values()) for vip in vips):
        return Fate.CUT
    active, inactive = fates_of(_of_its_kind(service, after))
    on_down = inactive if service.protocol == "udp" else active
    # Of TCP only what begins can be scheduled anew: the rest of a connection is an orphan.
    if service.protocol == "udp" and (serves or on_down in ("keep", "reschedule")):
        return Fate.ANEW if any(_takes(it, service, server) for it in after.services.values()) else Fate.REFUSED
    if serves or on_down == "keep":
        return Fate.GOES_ON
    return Fate.SILENT if on_down == "drop" else Fate.ENDS


def fate_text(fate: Fate, n: int, *, udp: bool) -> str:
    """So many sessions have that fate."""
    one, several = fate.value
    what = counted(n, "session") if udp else counted(n, "connection")
    advice = f": {ADVICE[fate]}" if fate in ADVICE else ""
    return f"{what} {one if n == 1 else several}{advice}"


def _of_its_kind(service: Service, after: Config) -> Service:
    """The service that its sessions are of then: it is itself where it has not left."""
    same = after.services.get(service.name)
    return same if same is not None and is_same_service(service, same) else service


def _takes(other: Service, service: Service, server: Server) -> bool:
    """Whether the other service has a server for clients of this one's server, at a port that may be theirs."""
    family = server.address.version
    return (
        other.protocol == service.protocol
        and any(vip in other.vips for vip in service.vips if vip.version == family or service.is_tunnel)
        and other.l4_ports.first <= service.l4_ports.last
        and service.l4_ports.first <= other.l4_ports.last
        and any(it.weight and (other.is_tunnel or it.address.version == family) for it in other.servers.values())
    )
