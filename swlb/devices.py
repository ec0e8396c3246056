"""The devices of ports: those that swlb creates (TAP, TUN) and those it holds.

Every created device lives exactly as long as its file descriptor: nothing is made persistent, so a swlb that dies
leaves none behind. taps.py makes one, here it gets its place and its name; twins.py makes the kernel twins of
segments. packets.py holds an interface that is there already. Frames are not read or written here; that is the
worker's.
"""

import errno
import hashlib
import os
import re
import socket
from collections.abc import Collection
from itertools import count

from swlb import packets, taps
from swlb.namespaces import NETNS_DIR, namespace, namespaces, netlink, open_namespace
from swlb.packets import Packet
from swlb.taps import IFNAMSIZ, DeviceState, Tap, calling, create, name_is_taken, present_name, set_up

__all__ = [
    "Device",
    "DeviceState",
    "Packet",
    "Tap",
    "host_device_name",
    "namespace",
    "namespaces",
    "open_packet",
    "open_tap",
    "set_mtu",
    "watch",
]

Device = Tap | Packet

# A TAP appears in the namespace where /dev/net/tun was opened, and that open file keeps the namespace alive.
# Opened inside the target, `ip netns delete` could not end it any more. So it is opened at home, under a name
# that the kernel picks (the port's own may be taken here), then moved, and named where it arrives.
BIRTH_NAME = "swlb%d"


def open_tap(
    port_name: str,
    device: str,
    *,
    netns: str | None,
    mtu: int,
    mac: bytes | None = None,
    queues: int = 1,
    ethernet: bool = True,
) -> Tap:
    """A TAP called `device`, up, in namespace `netns` (None: the calling thread's).

    Without `mac` the kernel chooses one. Without `ethernet` it is a TUN, which has none.
    Raises PortError, and leaves nothing, when a call fails or a device of that name is there already.
    """
    birth_name = device if netns is None else BIRTH_NAME
    tap = create(port_name, device, birth_name=birth_name, mtu=mtu, mac=mac, queues=queues, ethernet=ethernet)
    try:
        if netns is not None:
            _move(tap, netns)
        with calling(port_name, device, f"setns {netns}"), namespace(netns):
            set_up(tap)
    except BaseException:
        tap.close()
        raise
    return tap


def open_packet(port_name: str, device: str, *, netns: str | None, mtu: int, queues: int = 1) -> Packet:
    """The interface `device` of namespace `netns` (None: the calling thread's), held, up and with that MTU.

    Raises PortError, and leaves everything as it was, when a call fails or the interface cannot be had.
    """
    to_create = {errno.ENOENT: f"create it with 'ip netns add {netns}'"}
    with calling(port_name, device, f"setns {netns}", to_create), namespace(netns):
        return packets.hold(port_name, device, netns=netns, mtu=mtu, queues=queues)


def watch(device: Device) -> DeviceState:
    """What has become of the device."""
    return packets.watch(device) if isinstance(device, Packet) else taps.watch(device)


def set_mtu(device: Device, mtu: int) -> None:
    """The device has that MTU. Raises PortError when it cannot, or is lost."""
    if isinstance(device, Packet):
        packets.set_mtu(device, mtu)
    else:
        taps.set_mtu(device, mtu)


def host_device_name(segment_name: str, taken: Collection[str]) -> str:
    """A name for the kernel twin of a segment that Linux takes and that is not in `taken`: "swlb-inside".

    Where that is too long, has other letters, or is taken, a hash of the segment's name replaces the end:
    the same at every start.
    """
    plain = "swlb-" + re.sub(r"[^A-Za-z0-9_.-]", "_", segment_name)
    if plain == f"swlb-{segment_name}" and len(plain) < IFNAMSIZ and plain not in taken:
        return plain
    digests = (hashlib.sha256(f"{segment_name} {n}".encode()).hexdigest()[:4] for n in count())
    names = (f"{plain[: IFNAMSIZ - 6]}-{digest}" for digest in digests)
    return next(name for name in names if name not in taken)


def _move(tap: Tap, netns: str) -> None:
    """The device is in namespace `netns`, under its own name."""
    to_create = {errno.ENOENT: f"create it with 'ip netns add {netns}'"}
    with calling(tap.port_name, tap.device, f"open namespace {netns}", to_create):
        netns_fd = open_namespace(netns)
    try:
        advice = {
            errno.EEXIST: name_is_taken(tap.device, netns),
            errno.EINVAL: f"'{NETNS_DIR}/{netns}' is no network namespace: delete it, then 'ip netns add {netns}'",
        }
        with calling(tap.port_name, tap.device, f"move to namespace {netns}", advice):
            index = socket.if_nametoindex(present_name(tap.fd).rstrip(b"\0").decode())
            netlink(lambda ip: ip.link("set", index=index, net_ns_fd=netns_fd, ifname=tap.device))
    finally:
        os.close(netns_fd)
    tap.netns = netns
