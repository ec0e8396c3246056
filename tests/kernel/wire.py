"""A veth pair between two quiet namespaces, and packet sockets on it, made without any code of swlb."""

import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from swlb.namespaces import namespace

SOL_PACKET, AUXDATA, VNET_HDR, IGNORE_OUTGOING = 263, 8, 15, 23
ETH_P_ALL = 3
VNET = struct.Struct("<BBHHHH")
AUX = struct.Struct("=IIIHHHH")
MACS = {"near": "02:00:00:00:00:01", "far": "02:00:00:00:00:02"}


@dataclass(frozen=True)
class Wire:
    """Devices `near` and `far` in namespaces of their own, up, with 10.99.0.1/24 and 10.99.0.2/24, without IPv6."""

    near: str
    far: str

    def run(self, end: str, *argv: str) -> str:
        """What the command prints in the namespace of that end."""
        command = ["ip", "netns", "exec", getattr(self, end), *argv]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def packet_socket(self, end: str, *, vnet: bool = True, protocol: int = ETH_P_ALL) -> socket.socket:
        """A packet socket on the end, which hears what comes in by it."""
        with namespace(getattr(self, end)):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(SOL_PACKET, VNET_HDR, int(vnet))
            sock.setsockopt(SOL_PACKET, AUXDATA, 1)
            sock.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
            sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            sock.bind((end, protocol))
        sock.settimeout(1)
        return sock

    def socket(self, end: str, kind: int) -> socket.socket:
        """An IPv4 socket in the namespace of that end."""
        with namespace(getattr(self, end)):
            return socket.socket(socket.AF_INET, kind)


def lay(make_netns: Callable[[], str]) -> Wire:
    wire = Wire(make_netns(), make_netns())
    for end in ("near", "far"):
        for scope in ("all", "default"):
            wire.run(end, "sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")
    wire.run("near", "ip", "link", "add", "near", "address", MACS["near"], "type", "veth", "peer", "name", "far",
             "address", MACS["far"], "netns", wire.far)
    for number, end in enumerate(("near", "far"), start=1):
        wire.run(end, "ip", "link", "set", end, "up")
        wire.run(end, "ip", "address", "add", f"10.99.0.{number}/24", "dev", end)
    for end, other, number in (("near", "far", 2), ("far", "near", 1)):
        wire.run(end, "ip", "neighbour", "add", f"10.99.0.{number}", "lladdr", MACS[other], "dev", end,
                 "nud", "permanent")
    return wire


def received(sock: socket.socket) -> tuple[tuple[int, ...], bytes, tuple[int, int] | None]:
    """The next frame: offload header, bytes, and the tag that lay beside it as (TPID, TCI)."""
    data, control, _, _ = sock.recvmsg(70_000, 256)
    tag = None
    for _, _, said in control:
        status, _, _, _, _, tci, tpid = AUX.unpack_from(said)
        tag = (tpid, tci) if status & 16 else None
    return VNET.unpack_from(data), data[VNET.size:], tag


def waiting(sock: socket.socket) -> list[bytes]:
    """The frames that are there or come within 100 ms, without their offload headers."""
    frames = []
    sock.settimeout(0.1)
    try:
        while True:
            frames.append(received(sock)[1])
    except TimeoutError:
        return frames
