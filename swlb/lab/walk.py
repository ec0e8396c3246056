"""The walk of a request and its reply: every place where they were seen, and what had changed there.

All of it is from captures in the namespaces of the lab; which way packets take is nowhere said beforehand.
"""

from dataclasses import dataclass

import dpkt
from rich.text import Text

from swlb.lab import Lab
from swlb.lab.capture import Capture, Sighting
from swlb.lab.decode import Outer, Seen
from swlb.lab.requests import CLIENT, Surprise, attempt, expect, request, url_of, vip_of
from swlb.lab.voice import Cell, Voice

CHANGED = "bold yellow"
SYN, ACK, RST = dpkt.tcp.TH_SYN, dpkt.tcp.TH_ACK, dpkt.tcp.TH_RST
HANDSHAKE = {"SYN": (SYN,), "SYN-ACK": (SYN | ACK,), "RST": (RST, RST | ACK)}
# Not what health checks of a lab say: they ask for another path, and hear 204.
HTTP = {"request": b"GET / ", "reply": b"HTTP/1.1 200"}


@dataclass(frozen=True)
class Walk:
    """What was seen of a connection that the host `caller` began, message by message, in the order of time.

    Messages that nobody sent are not in it. `macs` says whose each MAC is.
    """

    caller: str
    messages: dict[str, list[Sighting]]
    macs: dict[str, str]

    @property
    def first(self) -> list[Sighting]:
        """Where the first message was seen: that which goes to the server."""
        return next(iter(self.messages.values()))

    @property
    def answer(self) -> list[Sighting]:
        """Where what came back for it was seen; empty when nothing did."""
        return (*self.messages.values(), [])[1]


def walk_of_request(lab: Lab, caller: str = CLIENT) -> Walk:
    """One request was answered. Raises Surprise when it was not."""
    with Capture(lab.places) as capture:
        request(lab, url_of(lab.config.services["web"]), 1, caller=caller)
        seen = capture.sightings()
        messages = {name: [s for s in seen if s.seen.payload.startswith(start)] for name, start in HTTP.items()}
        return _walk(lab, caller, capture, messages)


def walk_of_attempt(lab: Lab, caller: str = CLIENT, *, patience_s: float) -> Walk:
    """One request was not answered, within that time; what was seen of how the connection was to begin.

    Raises Surprise when somebody did answer.
    """
    with Capture(lab.places) as capture:
        service = lab.config.services["web"]
        said = attempt(lab, url_of(service), caller=caller, patience_s=patience_s)
        expect("the request, that nobody may answer", said, "! timed out")
        seen = capture.sightings()
    # Health checks begin connections as well. The caller's own keeps its address and port, or all of this would work.
    own = next((s.seen.source for s in seen if s.seen.has(SYN) and s.seen.destination == vip_of(service)), None)
    ours = [s for s in seen if own in (s.seen.source, s.seen.destination)]
    messages = {name: [s for s in ours if any(map(s.seen.has, flags))] for name, flags in HANDSHAKE.items()}
    return _walk(lab, caller, capture, messages)


def show_walk(say: Voice, walk: Walk, because: str) -> None:
    """The walk is told, place by place. What is not as it was one place before stands out; `because` says why."""
    rows: list[list[Cell]] = []
    for name, sightings in walk.messages.items():
        rows += [["", "", "", ""]] if rows else []
        before = None
        for sighting in sightings:
            rows.append(_row(name, sighting, before or sighting.seen, walk.macs))
            before = sighting.seen
    say.table(("", "from", "to", "TTL"), rows)
    say.paragraph(Text.assemble(("*", CHANGED), f" not as it was at the place before. {because}"))


def _walk(lab: Lab, caller: str, capture: Capture, messages: dict[str, list[Sighting]]) -> Walk:
    """Each message once at each place: what was sent again is left out. Raises Surprise where there is none."""
    once: dict[str, list[Sighting]] = {}
    for name, sightings in messages.items():
        for sighting in sightings:
            known = once.setdefault(name, [])
            if (sighting.where, sighting.seen) not in [(other.where, other.seen) for other in known]:
                known.append(sighting)
    if not once:
        raise Surprise(f"captured of a request of {caller}", seen="nothing", expected="how it begins")
    fdb = lab.show("fdb")
    return Walk(caller, once, {**{row["mac"]: "swlb" for row in fdb if row["static"]}, **capture.macs})


def _row(name: str, sighting: Sighting, before: Seen, macs: dict[str, str]) -> list[Cell]:
    """A place: the packet's header, below it that of the tunnel it is in, and below that its MACs."""
    seen = sighting.seen
    headers: list[tuple[Seen | Outer, Seen | Outer | None]] = [(seen, before)]
    if seen.outer:
        headers.append((seen.outer, before.outer))
    sources = [_marked(now.source, was.source if was else None) for now, was in headers]
    destinations = [_marked(now.destination, was.destination if was else None) for now, was in headers]
    ttls = [_marked(str(now.ttl), str(was.ttl) if was else None) for now, was in headers]
    if seen.mac_from:
        sources.append(_marked(seen.mac_from, before.mac_from, macs.get(seen.mac_from, "?"), style="dim"))
        destinations.append(_marked(seen.mac_to, before.mac_to, macs.get(seen.mac_to, "?"), style="dim"))
    labels = [Text(name, "bold"), *([Text(f"in {seen.outer.kind}")] if seen.outer else []), Text(sighting.where)]
    return [Text("\n").join(lines) for lines in (labels, sources, destinations, ttls)]


def _marked(value: str, was: str | None, note: str = "", *, style: str = "") -> Text:
    shown = (f"{value}*", CHANGED) if value != was else (f"{value} ", style)
    return Text.assemble(shown, (f" {note}" if note else "", style))
