"""Sends 60-byte UDP frames as fast as one core can; a program of its own, run in the client.

`python -m swlb.bench.flood ADDRESS PORT SECONDS CORE FLOWS` prints `[frames, seconds]`. The frames are handed to the
device through a packet socket, 64 in one system call (sendmmsg), because the kernel's UDP sockets are slower than what
is measured. The interpreter is not: it runs once for 64 frames. FLOWS are that many source ports, which take turns.
"""

import ctypes
import errno
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .servers import PAYLOAD_LEN

PAYLOAD = bytes(PAYLOAD_LEN)
BATCH = 64
FIRST_SOURCE_PORT = 20000
RESOLVE_TIMEOUT_S = 2.0


class IoVec(ctypes.Structure):
    """struct iovec"""

    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class MsgHdr(ctypes.Structure):
    """struct msghdr. The socket is bound to a device, so there is no name."""

    _fields_ = (("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(IoVec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int))


class MMsgHdr(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = (("header", MsgHdr), ("len", ctypes.c_uint))


@dataclass(frozen=True)
class Neighbour:
    """Who takes frames for an address, and behind which device."""

    mac: bytes
    device: str


def flood(address: str, l4_port: int, seconds: float, *, flows: int) -> tuple[int, float]:
    """How many frames the device took, and in how many seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packet:
        # The UDP socket lends its address, and makes the kernel resolve the neighbour.
        udp.connect((address, l4_port))
        neighbour = resolve(udp, address)
        packet.bind((neighbour.device, 0))
        own_address, own_mac = udp.getsockname()[0], packet.getsockname()[4]
        frames = [ethernet_frame(neighbour.mac, own_mac, udp_packet((own_address, l4_source), (address, l4_port)))
                  for l4_source in source_ports(flows)]
        return send_batches(packet, frames, seconds)


def source_ports(flows: int) -> list[int]:
    """The source port of each frame of a batch, the flows one after the other."""
    if BATCH % flows:
        raise ValueError(f"{flows} flows; expected a number that divides {BATCH}, or they would not send equally much")
    return [FIRST_SOURCE_PORT + n % flows for n in range(BATCH)]


def send_batches(packet: socket.socket, frames: Sequence[bytes], seconds: float) -> tuple[int, float]:
    """How many frames were taken, the given ones again and again, and in how many seconds."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
    vectors = [IoVec(ctypes.addressof(buffer), len(frame)) for buffer, frame in zip(buffers, frames, strict=True)]
    headers = (MMsgHdr(MsgHdr(iov=ctypes.pointer(vector), iovlen=1)) for vector in vectors)
    messages = (MMsgHdr * len(frames))(*headers)
    n_sent, begin = 0, time.monotonic()
    while (elapsed := time.monotonic() - begin) < seconds:
        n = libc.sendmmsg(packet.fileno(), messages, len(frames), 0)
        if n > 0:
            n_sent += n
        elif (code := ctypes.get_errno()) != errno.ENOBUFS:  # ENOBUFS: the device's queue is full, as it should be
            raise OSError(code, os.strerror(code))
    return n_sent, elapsed


def resolve(udp: socket.socket, address: str) -> Neighbour:
    """The kernel's neighbour for the address, which is on the link."""
    deadline = time.monotonic() + RESOLVE_TIMEOUT_S
    while time.monotonic() < deadline:
        # Where nobody takes datagrams, that the last was refused would be told now: a neighbour it has all the same.
        with suppress(ConnectionRefusedError):
            udp.send(PAYLOAD)
        for row in Path("/proc/net/arp").read_text(encoding="ascii").splitlines()[1:]:
            ip, _, flags, mac, _, device = row.split()
            if ip == address and int(flags, 16):
                return Neighbour(bytes.fromhex(mac.replace(":", "")), device)
        time.sleep(0.05)
    raise TimeoutError(f"nobody answers for {address}")


def ethernet_frame(destination: bytes, source: bytes, packet: bytes) -> bytes:
    """The IPv4 packet in a frame."""
    return destination + source + struct.pack("!H", 0x0800) + packet


def udp_packet(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """The payload in UDP in IPv4, both checksums complete."""
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    udp_len = 8 + len(PAYLOAD)
    udp = struct.pack("!HHHH", source[1], destination[1], udp_len, 0) + PAYLOAD
    udp_checksum = checksum(addresses + struct.pack("!HH", socket.IPPROTO_UDP, udp_len) + udp) or 0xFFFF
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + udp_len, 0, 0x4000, 64, socket.IPPROTO_UDP, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return header + udp[:6] + struct.pack("!H", udp_checksum) + udp[8:]


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[4])})
    print(json.dumps(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), flows=int(sys.argv[5]))))
