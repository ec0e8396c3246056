"""The TUN device out of which unpacked packets come to the kernel, and the addresses of the host.

The device lives as long as its file descriptor: nothing is left of it, or of its addresses, when swlb dies.
"""

import errno
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import netifaces
import pytun
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from swlb.addresses import Address
from swlb.errors import SwlbError
from swlb.taps import IFNAMSIZ, NO_ADVICE, NO_DESCRIPTOR, NO_TUN, TUN_PATH, name_is_taken
from swlb.twins import IFA_F_NODAD, SYSCTL_DIR

NO_RIGHT = "run as root or with CAP_NET_ADMIN and CAP_NET_RAW (a container needs '--cap-add' for both)"
ADVICE = {errno.EPERM: NO_RIGHT, errno.EACCES: NO_RIGHT, errno.EMFILE: NO_DESCRIPTOR}

STRICT, LOOSE = 1, 2  # values of rp_filter; the higher of the device's and of `all` counts
RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x10, 0x100  # linux/rtnetlink.h


@contextmanager
def doing(what: str, advice: Mapping[int, str] | None = None) -> Iterator[None]:
    """Within the block, a failing system call or netlink request comes out as SwlbError: what failed, what to do."""
    try:
        yield
    except (OSError, NetlinkError) as failure:
        code = (failure.errno if isinstance(failure, OSError) else failure.code) or 0
        todo = (ADVICE | dict(advice or {})).get(code, NO_ADVICE)
        raise SwlbError(f"{what}: {os.strerror(code)}; {todo}") from failure


@contextmanager
def tun_device(name: str, vips: Collection[Address]) -> Iterator[int]:
    """Within the block TUN `name` is up and the host has the VIPs: the descriptor to write to.

    A packet follows a virtio-net header. VIPs that the host has already stay where they are.
    """
    no_tun = dict.fromkeys((errno.ENOENT, errno.ENODEV, errno.ENXIO), NO_TUN)
    with doing(f"open {TUN_PATH}", no_tun):
        os.close(os.open(TUN_PATH, os.O_RDWR))
    if not 0 < len(name.encode()) < IFNAMSIZ:
        raise SwlbError(f"create device {name!r}: a device's name has 1 to {IFNAMSIZ - 1} bytes")
    flags = pytun.IFF_TUN | pytun.IFF_NO_PI | pytun.IFF_VNET_HDR | pytun.IFF_TUN_EXCL
    with doing(f"create device {name}", {errno.EBUSY: name_is_taken(name, None)}):
        tun = pytun.TunTapDevice(name=name, flags=flags, dev=TUN_PATH)
    try:
        _prepare(name, vips)
        with doing(f"set {name} up"):
            tun.up()
        _add(name, set(vips) - set(own_addresses()))
        yield tun.fileno()
    finally:
        tun.close()


def own_addresses() -> Iterator[Address]:
    """All addresses of the calling thread's namespace."""
    for device in netifaces.interfaces():
        # A device may go between the two calls.
        try:
            families = netifaces.ifaddresses(device)
        except ValueError:
            continue
        for family in (netifaces.AF_INET, netifaces.AF_INET6):
            for entry in families.get(family, []):
                yield ip_address(entry["addr"].partition("%")[0])


def address_news() -> socket.socket:
    """A socket that has something to read when an address of the host came or went."""
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    news.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
    return news


def _prepare(name: str, vips: Collection[Address]) -> None:
    """What comes out of the device is taken, by whatever device the answer goes."""
    ipv4 = SYSCTL_DIR / "ipv4/conf"
    if max(_number(ipv4 / who / "rp_filter") for who in ("all", name)) == STRICT:
        _write(ipv4 / name / "rp_filter", LOOSE)
    if any(vip.version == 6 for vip in vips) and _number(path := SYSCTL_DIR / "ipv6/conf" / name / "disable_ipv6"):
        _write(path, 0)


def _number(path: Path) -> int:
    with doing(f"read {path}", {errno.ENOENT: "this kernel runs without IPv6: leave out VIPs of IPv6"}):
        return int(path.read_text())


def _write(path: Path, value: int) -> None:
    read_only = f"/proc/sys is read-only: set '{path}' to {value} as default, from outside the container"
    with doing(f"write {value} to {path}", {errno.EROFS: read_only}):
        path.write_text(str(value))


def _add(name: str, vips: Collection[Address]) -> None:
    index = socket.if_nametoindex(name)
    with IPRoute() as ip:
        for vip in vips:
            with doing(f"add address {vip} to {name}"):
                ip.addr("add", index=index, address=str(vip), prefixlen=vip.max_prefixlen,
                        flags=IFA_F_NODAD if vip.version == 6 else 0)  # fmt: skip
