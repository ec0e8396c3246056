"""Frames as scapy sees them: what is expected is built by it, what came out is judged by it."""

from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, TCPerror, UDPerror
from scapy.layers.inet6 import IPerror6, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import NoPayload, Packet, Raw

NO_OFFLOAD = bytes(10)
QUOTED = (IPerror, IPerror6, TCPerror, UDPerror, ICMPerror)


def with_right_checksums(frame: Packet) -> bytes:
    """The frame's bytes after scapy has computed every checksum anew, but those of a packet quoted in an ICMP error."""
    copy = type(frame)(bytes(frame))
    layer = copy
    while not isinstance(layer, NoPayload) and not isinstance(layer, QUOTED):
        for name in ("chksum", "cksum"):
            if name in layer.fields and not (isinstance(layer, UDP) and layer.chksum == 0 and IP in copy):
                delattr(layer, name)
        layer = layer.payload
    return bytes(copy)


def assert_sound(frame: Packet) -> None:
    """Every checksum of the frame is what scapy computes for it."""
    assert bytes(frame) == with_right_checksums(frame), f"wrong checksum in {show(frame)}"


def show(frame: Packet | bytes) -> str:
    """One line for people: summary and bytes."""
    raw = bytes(frame)
    return f"{Ether(raw).summary()}  [{len(raw)}] {raw.hex()}"


def differences(got: list[bytes], wanted: list[bytes]) -> str:
    """What a failed expectation prints."""
    lines = ["", "expected:", *(f"  {show(frame)}" for frame in wanted), "came out:", *(f"  {show(f)}" for f in got)]
    return "\n".join(lines)


def packet_of(frame: Packet) -> Packet:
    """What the Ethernet frame carries, cut to the length that its IP header states."""
    inner = frame.payload
    if isinstance(inner, IP):
        return IP(bytes(inner)[:inner.len])
    if isinstance(inner, IPv6):
        return IPv6(bytes(inner)[:40 + inner.plen])
    return inner


__all__ = ["ARP", "ICMP", "IP", "NO_OFFLOAD", "TCP", "UDP", "Ether", "IPv6", "Raw", "assert_sound", "differences",
           "packet_of", "show", "with_right_checksums"]
