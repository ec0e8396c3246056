"""What `swlb check` says of a segment."""

from collections.abc import Iterator
from itertools import takewhile

from swlb.config.models import Config, Segment
from swlb.config.ways import segment_of_vip
from swlb.durations import duration_text
from swlb.paragraphs import INDENT, table, wrapped

KINDS = {
    "packet": "an interface that is there already. While swlb runs it is up and has that mtu, and its own kernel hears "
    "nothing there; it must not have an address. Afterwards it is as it was.",
    "tun": "IP packets without Ethernet: what is routed to the segment leaves by it, and nobody is asked for a MAC.",
}


def segment_words(config: Config, segment: Segment) -> list[str]:
    """What is said of a segment: its addresses, its ports, and what its settings mean."""
    addresses = ", ".join(map(str, segment.addresses)) or "no address: a switch and nothing else"
    fdb = f"remembers at most {segment.fdb_limit} stations, each for {duration_text(segment.ageing)} of silence"
    ports = table([_port(config, name) for name in segment.ports])
    about = (*_kinds(config, segment), *_vlans(config, segment), *_segment_settings(config, segment))
    rest = [line for words in about for line in wrapped(words, INDENT)]
    return [*wrapped(f"segment {segment.name}: {addresses}"), *wrapped(fdb, INDENT), *ports, *rest]


def _kinds(config: Config, segment: Segment) -> Iterator[str]:
    """What a port is, said of it once: the segment that has the first VLAN of it says it."""
    before = takewhile(lambda other: other is not segment, config.segments.values())
    told = {port.name for other in before for port in config.ports_of(other)}
    for port in config.ports_of(segment):
        if port.kind in KINDS and port.name not in told:
            yield f"{port.name}: {KINDS[port.kind]}"


def _segment_settings(config: Config, segment: Segment) -> Iterator[str]:
    if segment.access == "private":
        answers = "and no answer to" if segment.masquerade == "off" else "and answers to"
        closed = f"nothing from other segments reaches its hosts but a service's requests, {answers} what they begin."
        yield f"access private: {closed}{_private(config, segment)}"
    if segment.masquerade != "off":
        on = segment.masquerade == "on"
        pool = "swlb's address there" if on else ", ".join(map(str, segment.masquerade))
        yield f"masquerade: what its hosts begin with other segments comes from {pool}."
    if segment.vip_guard:
        yield "vip_guard: what its stations say of a VIP in ARP or neighbour discovery is dropped."
    if len({port.mtu for port in config.ports_of(segment)}) > 1:
        yield _unequal_links(segment)


def _unequal_links(segment: Segment) -> str:
    """What becomes of a packet between ports of which one carries less."""
    speaks = {address.version for address in segment.addresses}
    mute = [f"IPv{version}" for version in (4, 6) if version not in speaks]
    if not speaks:
        lost = "is dropped as oversize, and its sender hears nothing: that takes an address of swlb's here"
        return f"mtu: its ports differ. What is too large for one {lost}, or the same mtu for all."
    told = "IPv4 without DF is fragmented; of all else the sender is told what fits"
    but = f", but for {mute[0]}, of which swlb has no address here" if mute else ""
    return f"mtu: its ports differ. Of what is too large for one, {told}{but}."


def _private(config: Config, segment: Segment) -> str:
    """What follows from it where that may surprise."""
    if not any(other.addresses for other in config.segments.values() if other is not segment) or not segment.addresses:
        return " Nothing is routed to it anyway: that takes an address here and on another segment."
    vips = dict.fromkeys(vip for service in config.services.values() for vip in service.vips)
    held = ", ".join(str(vip) for vip in vips if segment_of_vip(config, vip) is segment)
    return f" {held} is reached all the same: a VIP is swlb's and no host's." if held else ""


def _port(config: Config, name: str) -> tuple[str, ...]:
    port, vid = config.port_of(name), config.member(name).vid
    where = f"in namespace {port.netns}" if port.netns else "in swlb's own namespace"
    what = "device" if port.kind == "tap" else port.kind
    return ("port", name, f"VLAN {vid} on " * bool(vid) + f"{what} {port.device} {where}", f"mtu {port.mtu}")


def _vlans(config: Config, segment: Segment) -> Iterator[str]:
    """What is said of tags where some are told apart."""
    trunks = config.trunks
    tagged = [name for name in segment.ports if config.member(name).vid]
    plain = [name for name in segment.ports if name not in tagged and name not in trunks]
    for name in tagged:
        yield f"{name}: frames come and go tagged for VLAN {config.member(name).vid}, and are untagged within."
    for name in (name for name in segment.ports if name in trunks):
        yield f"{name}: untagged frames are of this segment; of VLANs it carries those that segments name."
    if tagged and plain:
        yield f"{', '.join(plain)}: untagged, as all within the segment; frames with a tag are dropped."
