"""What passes a host's device, as the kernel shows it to packet sockets, decoded by dpkt.

Of TCP segments with something in them only: enough to see a request and its reply wherever they pass.
"""

import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import dpkt

from swlb.addresses import endpoint_text, mac_text
from swlb.lab.host import Host
from swlb.namespaces import namespace

ETH_P_ALL = 3  # linux/if_ether.h; frames that leave are shown as well
FRAME_MAX = 65536 + 18


@dataclass(frozen=True)
class Seen:
    """A TCP segment on the wire, addresses as people write them."""

    mac_from: str
    mac_to: str
    source: str
    destination: str
    ttl: int  # hop limit in IPv6
    payload: bytes


class Capture:
    """Within the block, all that passes the devices of the hosts is kept."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._hosts = list(hosts)
        self._sockets: dict[str, socket.socket] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for host in self._hosts:
            assert host.device is not None, "Lab.switch comes first"
            with namespace(host.netns):
                # Protocol 0 hears nothing until it is bound, so that no other device's frames slip in.
                sock = self._open.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                sock.bind((host.device, ETH_P_ALL))
            sock.setblocking(False)
            self._sockets[host.name] = sock
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def seen(self, host: str) -> list[Seen]:
        """The segments that have passed the host's device since the last call, oldest first."""
        segments: list[Seen] = []
        while True:
            try:
                frame = self._sockets[host].recv(FRAME_MAX)
            except BlockingIOError:
                return segments
            if (segment := decode(frame)) is not None:
                segments.append(segment)


def decode(frame: bytes) -> Seen | None:
    """The TCP segment in the frame; None when there is none, or nothing in it."""
    try:
        ethernet = dpkt.ethernet.Ethernet(frame)
    except dpkt.UnpackError:
        return None
    packet = ethernet.data
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(packet.data, dpkt.tcp.TCP):
        return None
    segment = packet.data
    if not segment.data:
        return None
    return Seen(
        mac_from=mac_text(ethernet.src),
        mac_to=mac_text(ethernet.dst),
        source=endpoint_text(ip_address(packet.src), segment.sport),
        destination=endpoint_text(ip_address(packet.dst), segment.dport),
        ttl=packet.ttl if isinstance(packet, dpkt.ip.IP) else packet.hlim,
        payload=bytes(segment.data),
    )
