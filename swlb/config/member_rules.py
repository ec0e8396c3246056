"""What must hold between ports and the segments that they, or VLANs of theirs, are members of."""

from collections.abc import Iterator

from swlb.config.members import LAST_VID, Member, is_meant_as_vlan, read_member
from swlb.config.models import Config
from swlb.config.source import Finding, Path, counted, show
from swlb.config.values import one_of

MAX_PORTS = 256  # of one worker, ext/ports/port.pxd


def members_are_ports(config: Config) -> Iterator[Finding]:
    """Every member of a segment is a port of the configuration, or a VLAN of one."""
    for path, name, member in _members(config):
        if member is None and is_meant_as_vlan(name, config.ports):
            port = name.rpartition(".")[0]
            expected = f"{port}, or a VLAN of it: {port}.1 to {port}.{LAST_VID}"
            yield Finding(path, show(name), expected)
        elif member is None:
            yield Finding(path, show(name), f"the name of a port: {one_of(config.ports, instead_of=name)}")


def ports_have_one_segment(config: Config) -> Iterator[Finding]:
    """No port is a member twice, nor is a VLAN of one."""
    first: dict[str, str] = {}
    for path, name, member in _members(config):
        if name in first:
            what, once = ("VLAN", "each VLAN of a port once") if member and member.vid else ("port", "each port once")
            yield Finding(path, f"{what} {name}, which is in segment {first[name]} already", once)
        first.setdefault(name, str(path[1]))


def segments_have_a_port_once(config: Config) -> Iterator[Finding]:
    """No segment has two members of one port: what is flooded would come back to where it is from."""
    first: dict[tuple[str, str], str] = {}
    for path, name, member in _members(config):
        if member is None:
            continue
        key = (str(path[1]), member.port)
        if first.setdefault(key, name) != name:
            found = f"{name} beside {first[key]}, which is the same port"
            expected = f"one member of port {member.port}: frames would come back by it to where they are from"
            yield Finding(path, found, expected)


def ports_have_a_segment(config: Config) -> Iterator[Finding]:
    """Every port is a member of a segment, or a VLAN of it is."""
    used = {member.port if member else name.rpartition(".")[0] for _, name, member in _members(config)}
    for name in config.ports:
        if name not in used:
            yield Finding(("ports", name), "a port that is in no segment", "each port in one segment")


def ports_are_few_enough(config: Config) -> Iterator[Finding]:
    """The ports, their VLANs, and the kernel twin of each segment with addresses are as many as a worker can have."""
    twins = sum(bool(segment.addresses) for segment in config.segments.values())
    vlans = sum(member is not None and member.vid > 0 for _, _, member in _members(config))
    if len(config.ports) + vlans + twins > MAX_PORTS:
        ports = f"{len(config.ports)} ports" + (f", {counted(vlans, 'VLAN')} of theirs" if vlans else "")
        found = f"{ports}, and {twins} segments with an address, which take one each"
        yield Finding(("ports",), found, f"at most {MAX_PORTS} in all")


def tun_segments_are_routed(config: Config) -> Iterator[Finding]:
    """A TUN is the one port of a segment with an address: without Ethernet nothing can be switched."""
    for name, segment in config.segments.items():
        tuns = [member for member in segment.ports if member in config.ports and config.ports[member].tun is not None]
        if tuns and len(segment.ports) > 1:
            found = f"port {tuns[0]}, a tun, beside {len(segment.ports) - 1} more"
            expected = f"{tuns[0]} alone: without Ethernet there are no stations to switch between"
            yield Finding(("segments", name, "ports"), found, expected)
        if tuns and not segment.addresses:
            found = f"port {tuns[0]}, a tun, and no address"
            yield Finding(("segments", name), found, "an address of swlb's own: a tun is routed to, never switched")


def tuns_have_no_vlans(config: Config) -> Iterator[Finding]:
    """No VLAN is one of a TUN: without Ethernet there are no tags."""
    for path, name, member in _members(config):
        if member is not None and member.vid and config.ports[member.port].tun is not None:
            found = f"{name}, a VLAN of a tun"
            yield Finding(path, found, f"{member.port}: without Ethernet there are no VLAN tags")


def _members(config: Config) -> Iterator[tuple[Path, str, Member | None]]:
    for segment_name, segment in config.segments.items():
        for index, name in enumerate(segment.ports):
            yield ("segments", segment_name, "ports", index), name, read_member(name, config.ports)
