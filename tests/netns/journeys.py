"""The packets of one request in captures, and what a mode makes of them; scapy reads and writes them."""

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from netns.capture import Captured, unwrapped
from netns.modes import WIDE_MTU, Standing
from netns.traffic import Answer

TCP_HEADERS_LEN = {4: 40, 6: 60}  # of IP and TCP, without options


def packets_between(frames: list[Captured], source: tuple[str, int], target: tuple[str, int]) -> list[bytes]:
    """What follows the MACs of the TCP frames from one end of a connection to the other, out of their tunnels."""
    found = []
    for frame in map(unwrapped, frames):
        packet = ip_of(frame.data[12:])
        ends = [(packet.src, packet["TCP"].sport), (packet.dst, packet["TCP"].dport)] if "TCP" in packet else []
        if ends == [source, target]:
            found.append(frame.data[12:])
    return found


def is_last(data: bytes) -> bool:
    """Whether the TCP packet says that nothing more comes."""
    return "F" in ip_of(data)["TCP"].flags


def as_it_arrives(sent: bytes, at: Standing, answer: Answer) -> bytes:
    """The packet as the server is to see it, `but_checksums`, where all the client sent was `sent`."""
    packet = ip_of(sent)
    (packet.src, packet["TCP"].sport), (packet.dst, packet["TCP"].dport) = answer.peer, answer.local
    if packet.version == 4:
        packet.ttl -= at.mode.hops
    else:
        packet.hlim -= at.mode.hops
    if at.mode.outer:
        # A tunnel lowers what a SYN offers to what fits into it.
        most = WIDE_MTU - at.mode.outer - TCP_HEADERS_LEN[packet.version]
        options = packet["TCP"].options
        packet["TCP"].options = [(name, min(value, most) if name == "MSS" else value) for name, value in options]
    return but_checksums(sent[:2] + bytes(packet))


def but_checksums(data: bytes) -> bytes:
    """The packet with checksums that are as they should be: senders leave them to devices, or do not."""
    packet = ip_of(data)
    for layer in (packet, packet["TCP"]):
        if "chksum" in layer.fields:
            del layer.chksum
    return bytes(packet)


def ip_of(data: bytes) -> Packet:
    """The packet that begins with its EtherType."""
    frame = Ether(bytes(12) + data)
    return frame[IP] if IP in frame else frame[IPv6]
