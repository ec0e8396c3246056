"""Datagrams cut anyhow: fragments built by scapy one by one, and read again from what came out."""

import random
from collections.abc import Sequence
from itertools import pairwise

from scapy.layers.inet6 import IPv6ExtHdrFragment
from scapy.packet import Packet, Raw

from tests.oracle.fragments import Fragment

from .balanced import ip
from .frames import IP

UDP_NUMBER = 17


def piece(src: str, dst: str, number: int, at: int, data: bytes, more: bool, *, protocol: int = UDP_NUMBER) -> Packet:
    """One fragment, whatever it is worth."""
    head = ip(src, dst)
    if isinstance(head, IP):
        head.id, head.frag, head.flags, head.proto = number, at // 8, "MF" if more else 0, protocol
        return head / Raw(data)
    return head / IPv6ExtHdrFragment(id=number, offset=at // 8, m=int(more), nh=protocol) / Raw(data)


def read(packet: Packet) -> tuple[int, int, bytes, bool]:
    """(identification, offset, bytes, more) of a fragment."""
    packet = type(packet)(bytes(packet))
    if isinstance(packet, IP):
        return packet.id, packet.frag * 8, bytes(packet.payload), "MF" in packet.flags
    head = packet[IPv6ExtHdrFragment]
    return head.id, head.offset * 8, bytes(head.payload), bool(head.m)


def cuts(length: int, choose: random.Random, key: object) -> list[Fragment]:
    """The whole packet in fragments, the first with room for the ports."""
    units = sorted(choose.sample(range(1, (length + 7) // 8), min(choose.randrange(1, 9), (length - 1) // 8)))
    edges = [0, *(unit * 8 for unit in units), length]
    return [Fragment(key, at, end - at, end != length) for at, end in pairwise(edges)]


def every(datagram: bytes, size: int) -> list[tuple[int, bytes, bool]]:
    """(offset, bytes, more) of it in fragments of that size."""
    return [(at, datagram[at:at + size], at + size < len(datagram)) for at in range(0, len(datagram), size)]


def pieces_of(src: str, dst: str, number: int, datagram: bytes, size: int) -> list[Packet]:
    return [piece(src, dst, number, *part) for part in every(datagram, size)]


def payloads(frames: Sequence[Packet]) -> list[tuple[int, int, bytes, bool]]:
    return [read(frame.payload) for frame in frames]
