"""Addresses as the doors take them, a naive checksum, and Workers with nothing but services."""

import ipaddress
from typing import Any

from swlb._worker import Worker

WRAP = 2**32
STATES = {"SYN_RECV": 2, "ESTABLISHED": 3, "FIN_WAIT": 4, "CLOSED": 8, "UNREPLIED": 9, "ONE_WAY": 10, "TWO_WAY": 11}
TIMEOUTS_MS = (0, 600, 600, 5000, 1200, 1200, 300, 1200, 100, 600, 1200, 3000)


def ip(text: str) -> bytes:
    """16 bytes; IPv4 as ::ffff:a.b.c.d."""
    value = ipaddress.ip_address(text)
    return value.packed if value.version == 6 else b"\0" * 10 + b"\xff\xff" + value.packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def folded(words: int) -> int:
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    return words


def naive_sum(data: bytes) -> int:
    """RFC 1071, word by word, as a big-endian number."""
    if len(data) % 2:
        data += b"\0"
    return folded(sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2)))


def naive_checksum(data: bytes) -> bytes:
    return (0xFFFF ^ naive_sum(data)).to_bytes(2, "big")


def in_memory(word: int) -> bytes:
    """The two bytes of a be16 that a door gave as an integer."""
    return word.to_bytes(2, "little")


def balancer(*, sessions: int = 100, vips: tuple[tuple[str, ...], ...], servers: tuple[tuple[str, ...], ...],
             protocol: int = 6, l4_port: int = 8080, timeouts_ms: tuple[int, ...] = TIMEOUTS_MS) -> Any:
    """A Worker with a service for each of vips, on port 80, and its servers."""
    worker = Worker(sessions=sessions, n_services=len(vips), n_servers=sum(map(len, servers)), n_addresses=2)
    segment = worker.add_segment(mac=mac("02:00:00:00:00:01"))
    for addresses, behind in zip(vips, servers, strict=True):
        service = worker.add_service(vips=[(ip(vip), segment) for vip in addresses], protocol=protocol, l4_first=80,
                                     l4_last=80, refuse=0, orphans=0, on_down=0,
                                     timeouts_ns=[ms * 10**6 for ms in timeouts_ms])
        for server in behind:
            worker.add_server(service, ip=ip(server), l4_port=l4_port, weight=1, ready=1)
    worker.seal(now_ns=0)
    return worker
