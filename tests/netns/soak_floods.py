"""Floods for the soak: bursts of frames that nobody wants, bounded in number and rate, from a host's device."""

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from netns.running import Host
from swlb.bench.flood import checksum, ethernet_frame

FRAMES, AT_ONCE, PAUSE_S = 2000, 50, 0.005  # of a burst: some 10,000 a second
ETH_P_ARP, ETH_P_TEST = 0x0806, 0x88B5
TCP, UDP = 6, 17
SYN = 0x02
MORE, EIGHTHS = 0x2000, 8
BROADCAST = b"\xff" * 6

Make = Callable[[random.Random, bytes, bytes, str, str], bytes]


def ipv4(protocol: int, src: bytes, dst: str, payload: bytes, *, ident: int = 0, pieces: int = 0) -> bytes:
    """The payload in a packet; `pieces` is the word of flags and offset."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, pieces, 64, protocol, 0) + src
    header += socket.inet_aton(dst)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def stranger(chance: random.Random) -> bytes:
    """An address of 198.18.0.0/15, which RFC 2544 sets apart for tests."""
    return bytes((198, 18 + chance.randrange(2), chance.randrange(256), chance.randrange(1, 255)))


def summed(src: bytes, dst: str, protocol: int, segment: bytes, at: int) -> bytes:
    """The segment with its checksum, which stands there and was 0."""
    pseudo = src + socket.inet_aton(dst) + struct.pack("!HH", protocol, len(segment))
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment) or 0xFFFF) + segment[at + 2:]


def syn(chance: random.Random, own: bytes, gateway: bytes, vip: str, address: str) -> bytes:
    src = stranger(chance)
    segment = struct.pack("!HHIIBBHHH", chance.randrange(1024, 65536), 80, chance.getrandbits(32), 0, 0x50, SYN, 512,
                          0, 0)
    return ethernet_frame(gateway, own, ipv4(TCP, src, vip, summed(src, vip, TCP, segment, 16)))


def datagram(chance: random.Random, own: bytes, gateway: bytes, vip: str, address: str) -> bytes:
    src = stranger(chance)
    segment = struct.pack("!HHHH", chance.randrange(1024, 65536), 7, 16, 0) + chance.randbytes(8)
    return ethernet_frame(gateway, own, ipv4(UDP, src, vip, summed(src, vip, UDP, segment, 6)))


def fragment(chance: random.Random, own: bytes, gateway: bytes, vip: str, address: str) -> bytes:
    """A first one, or a later one whose first never comes."""
    at = chance.choice([0, 0, 8, 64])
    payload = struct.pack("!HHHH", chance.randrange(1024, 65536), 7, 2000, 0) + bytes(56)
    return ethernet_frame(gateway, own, ipv4(UDP, stranger(chance), vip, payload, ident=chance.getrandbits(16),
                                             pieces=MORE | at // EIGHTHS))


def arp(chance: random.Random, own: bytes, gateway: bytes, vip: str, address: str) -> bytes:
    """Someone of the subnet that there is not asks for the VIP."""
    mac = bytes((2, 0x5A)) + chance.randbytes(4)
    sender = socket.inet_aton(address)[:3] + bytes((chance.randrange(150, 250),))
    question = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + sender + bytes(6) + socket.inet_aton(vip)
    return BROADCAST + mac + struct.pack("!H", ETH_P_ARP) + question + bytes(18)


def station(chance: random.Random, own: bytes, gateway: bytes, vip: str, address: str) -> bytes:
    """A MAC that was never heard, to one that there is not: flooded, and remembered for a while."""
    macs = bytes((2, 0x5B)) + chance.randbytes(4) + bytes((2, 0x5C)) + chance.randbytes(4)
    return macs + struct.pack("!H", ETH_P_TEST) + bytes(46)


FLOODS: dict[str, Make] = {"SYN": syn, "UDP": datagram, "fragments": fragment, "ARP": arp, "MACs": station}


def burst(kind: str, host: Host, vip: str, seed: int) -> int:
    """How many frames of that kind the host's device took."""
    chance, n = random.Random(seed), 0
    with closing(host.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
        sock.bind((host.device, 0))
        own, hop = mac_of(host.mac), mac_of(neighbour_mac(host, vip))
        for frame in frames(kind, chance, (own, hop, vip, host.ipv4)):
            try:
                n += sock.send(frame) > 0
            except OSError:  # ENOBUFS: the device's queue is full
                time.sleep(PAUSE_S)
            if n % AT_ONCE == 0:
                time.sleep(PAUSE_S)
    return n


def frames(kind: str, chance: random.Random, between: tuple[bytes, bytes, str, str]) -> Iterator[bytes]:
    for _ in range(FRAMES):
        yield FLOODS[kind](chance, *between)


def neighbour_mac(host: Host, address: str) -> str:
    """Whom the host sends what is for the address."""
    host.run("ping", "-c", "1", "-W", "2", address)
    return host.ip(f"neigh show {address}").partition("lladdr ")[2].split()[0]


def mac_of(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
