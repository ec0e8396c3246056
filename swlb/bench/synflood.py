"""Sends SYNs from addresses and ports that nobody has, at a rate; a program of its own, run in the client.

`python -m swlb.bench.synflood ADDRESS PORT RATE SECONDS [syn|ack]` prints `[frames, seconds]`: frames handed to the
device through a packet socket, 64 in one system call. `ack` forges segments of connections that never were. The senders
are all of 198.18.0.0/16, which RFC 2544 sets apart for tests, with new ports after each round: some four million flows
before any comes again. What changes from batch to batch are two numbers in parts that all its frames share, each beside
its complement, so that the checksums stay right: IPv4's identification goes with the address, the sequence number, too.
"""

import ctypes
import errno
import json
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator

from .flood import BATCH, IoVec, MMsgHdr, MsgHdr, checksum, resolve

SPOOFED = 0xC612  # 198.18.0.0/16, its upper half
FLAGS = {"syn": 0x02, "ack": 0x10}
PARTS = 4  # of a frame: Ethernet and IPv4 | ports | sequence number | the rest of TCP
ETHERNET_LEN, IPV4_LEN, TCP_LEN = 14, 20, 20
LOWEST_PORT = 1024


class Flood:
    """A batch of frames from one address and 64 ports, and what makes another batch of it."""

    def __init__(self, destination: tuple[str, int], macs: tuple[bytes, bytes], flags: int, seed: int | None) -> None:
        self._destination, self._flags, self._random = destination, flags, random.Random(seed)
        self._ip = ctypes.create_string_buffer(ETHERNET_LEN + IPV4_LEN)
        self._seq = ctypes.create_string_buffer(4)
        self._ports = [ctypes.create_string_buffer(4) for _ in range(BATCH)]
        self._rest = [ctypes.create_string_buffer(12) for _ in range(BATCH)]
        self._write_headers(macs)
        vectors = [(IoVec * PARTS)(*map(_vector, (self._ip, ports, self._seq, rest)))
                   for ports, rest in zip(self._ports, self._rest, strict=True)]
        self.messages = (MMsgHdr * BATCH)(*(MMsgHdr(MsgHdr(iov=parts, iovlen=PARTS)) for parts in vectors))

    def batches(self) -> Iterator[None]:
        """At each step the messages are another batch, without end."""
        while True:
            self._new_ports()
            for low in self._random.sample(range(0x10000), 0x10000):
                struct.pack_into("!H", self._ip, ETHERNET_LEN + 4, low ^ 0xFFFF)
                struct.pack_into("!H", self._ip, ETHERNET_LEN + 14, low)
                struct.pack_into("!H", self._seq, 0, low ^ 0xFFFF)
                yield

    def _write_headers(self, macs: tuple[bytes, bytes]) -> None:
        header = struct.pack("!BBHHHBBHHH", 0x45, 0, IPV4_LEN + TCP_LEN, 0xFFFF, 0x4000, 64, socket.IPPROTO_TCP, 0,
                             SPOOFED, 0) + socket.inet_aton(self._destination[0])
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        self._ip.raw = macs[0] + macs[1] + b"\x08\x00" + header
        struct.pack_into("!I", self._seq, 0, 0xFFFF0000)

    def _new_ports(self) -> None:
        """64 ports that no earlier batch need have had."""
        pseudo = struct.pack("!HH", SPOOFED, 0) + socket.inet_aton(self._destination[0]) + struct.pack(
            "!HH", socket.IPPROTO_TCP, TCP_LEN)
        chosen = self._random.sample(range(LOWEST_PORT, 0x10000), BATCH)
        for port, ports, rest in zip(chosen, self._ports, self._rest, strict=True):
            ports.raw = struct.pack("!HH", port, self._destination[1])
            end = struct.pack("!IBBHHH", int(self._flags != FLAGS["syn"]), 0x50, self._flags, 64240, 0, 0)
            total = checksum(pseudo + ports.raw + struct.pack("!I", 0xFFFF0000) + end)
            rest.raw = end[:8] + struct.pack("!H", total) + end[10:]


def _vector(buffer: ctypes.Array[ctypes.c_char]) -> IoVec:
    return IoVec(ctypes.addressof(buffer), len(buffer))


def synflood(address: str, l4_port: int, rate: float, seconds: float, *, kind: str = "syn",
             seed: int | None = None) -> tuple[int, float]:
    """How many frames the device took, and in how many seconds; never more than `rate` a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packet:
        udp.connect((address, l4_port))
        neighbour = resolve(udp, address)
        packet.bind((neighbour.device, 0))
        flood = Flood((address, l4_port), (neighbour.mac, packet.getsockname()[4]), FLAGS[kind], seed)
        return _send(packet, flood, rate, seconds)


def _send(packet: socket.socket, flood: Flood, rate: float, seconds: float) -> tuple[int, float]:
    libc = ctypes.CDLL(None, use_errno=True)
    n_sent, begin = 0, time.monotonic()
    for _ in flood.batches():
        elapsed = time.monotonic() - begin
        if elapsed >= seconds:
            break
        if n_sent > elapsed * rate:
            time.sleep(n_sent / rate - elapsed)
        n = libc.sendmmsg(packet.fileno(), flood.messages, BATCH, 0)
        if n < 0 and (code := ctypes.get_errno()) != errno.ENOBUFS:  # the device's queue is full
            raise OSError(code, os.strerror(code))
        n_sent += max(n, 0)
    return n_sent, time.monotonic() - begin


if __name__ == "__main__":
    print(json.dumps(synflood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]),
                              kind=sys.argv[5] if len(sys.argv) > 5 else "syn")))
