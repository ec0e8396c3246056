"""The devices of swlb: those it creates (the TAP or TUN of a port, the kernel twin of a segment) and those it holds.

Every created device lives exactly as long as its file descriptor: nothing is made persistent, so a swlb that dies
leaves none behind. taps.py makes one, here it gets its place, its name and its addresses. packets.py holds an
interface that is there already. Frames are not read or written here; that is the worker's.
"""

import errno
import hashlib
import os
import re
import socket
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import count
from pathlib import Path
from types import MappingProxyType

from pyroute2 import IPRoute

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
    "open_host",
    "open_packet",
    "open_tap",
    "watch",
]

Device = Tap | Packet

Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network
HostRoute = tuple[IPv4Network | IPv6Network, IPv4Address | IPv6Address]

SYSCTL_DIR = Path("/proc/sys/net")

# A TAP appears in the namespace where /dev/net/tun was opened, and that open file keeps the namespace alive.
# Opened inside the target, `ip netns delete` could not end it any more. So it is opened at home, under a name
# that the kernel picks (the port's own may be taken here), then moved, and named where it arrives.
BIRTH_NAME = "swlb%d"

# So high that no route of the host's own, whoever set it, loses against one of ours.
HOST_METRIC = 20000
IFA_F_NODAD = 0x02
NO_VIPS: Mapping[IPv4Address | IPv6Address, Network | None] = MappingProxyType({})
SCOPE_LINK = 253  # linux/rtnetlink.h: RT_SCOPE_LINK
ADDR_GEN_MODE_NONE = "1"


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


def open_host(
    segment_name: str,
    device: str,
    *,
    mac: bytes,
    addresses: Collection[Interface],
    routes: Iterable[HostRoute],
    mtu: int,
    vips: Mapping[IPv4Address | IPv6Address, Network | None] = NO_VIPS,
    queues: int = 1,
    arp: bool = True,
) -> Tap:
    """The kernel twin of a segment: a TAP in the calling thread's namespace with the segment's MAC and addresses.

    Without `arp` (on a segment without Ethernet) it asks nobody for a MAC.
    It answers ARP for its own addresses only, takes packets in whatever way the answer would go, and says nothing
    of its own accord but the listener reports (MLD) of its IPv6 addresses. Its routes give way to the host's.
    What is bound to it reaches the `vips` by it, each in that network where it is not the segment's own.
    Raises PortError, and leaves nothing, when a call fails or a device of that name is there already.
    """
    tap = create(segment_name, device, birth_name=device, mtu=mtu, mac=mac, queues=queues)
    try:
        # Before it is up: a link-local address, once made, would have been announced already.
        _set_sysctls(tap, has_ipv6=any(address.version == 6 for address in addresses))
        set_up(tap, arp=arp)
        netlink(lambda ip: _set_addresses(ip, tap, addresses))
        netlink(lambda ip: _set_routes(ip, tap, routes))
        netlink(lambda ip: _set_vips(ip, tap, vips, arp=arp))
    except BaseException:
        tap.close()
        raise
    return tap


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


def _set_sysctls(tap: Tap, *, has_ipv6: bool) -> None:
    """The device is quiet and for itself, and does not mind asymmetric ways. Forwarding stays the host's affair."""
    wanted = {"ipv4": {"rp_filter": "2", "arp_ignore": "1"}}
    if has_ipv6 or (SYSCTL_DIR / "ipv6").exists():
        wanted["ipv6"] = {
            "accept_ra": "0",
            "autoconf": "0",
            "addr_gen_mode": ADDR_GEN_MODE_NONE,
            "disable_ipv6": "0" if has_ipv6 else "1",
        }
    for family, values in wanted.items():
        for name, value in values.items():
            path = SYSCTL_DIR / family / "conf" / tap.device / name
            with calling(tap.port_name, tap.device, f"write {value} to {path}"):
                # A container's /proc/sys may be read-only; what is right already need not be written.
                if path.read_text().strip() != value:
                    path.write_text(value)


def _set_addresses(ip: IPRoute, tap: Tap, addresses: Iterable[Interface]) -> None:
    index = socket.if_nametoindex(tap.device)
    for address in addresses:
        with calling(tap.port_name, tap.device, f"add address {address}"):
            ip.addr(
                "add",
                index=index,
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
                # The metric of the connected route that comes with the address.
                rt_priority=HOST_METRIC,
                flags=IFA_F_NODAD if address.version == 6 else 0,
            )


def _set_routes(ip: IPRoute, tap: Tap, routes: Iterable[HostRoute]) -> None:
    index = socket.if_nametoindex(tap.device)
    # The IPv4 and the IPv6 way of saying that nothing on this device leads to the gateway.
    no_way = dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH), "`via` must lie in a network of the segment")
    for network, via in routes:
        with calling(tap.port_name, tap.device, f"add route {network} via {via}", no_way):
            ip.route("add", dst=str(network), gateway=str(via), oif=index, priority=HOST_METRIC)


def _set_vips(ip: IPRoute, tap: Tap, vips: Mapping[IPv4Address | IPv6Address, Network | None], *, arp: bool) -> None:
    """Packets to the VIPs that are bound to the device leave by it, to the segment's MAC.

    A route for a VIP alone would draw the host's own packets here. One for its network comes after every other that
    leads there, and only what is bound to the device takes it.
    """
    index = socket.if_nametoindex(tap.device)
    for network in dict.fromkeys(network for network in vips.values() if network is not None):
        with calling(tap.port_name, tap.device, f"add route {network}"):
            ip.route("add", dst=str(network), oif=index, priority=HOST_METRIC + 1, scope=SCOPE_LINK)
    for vip in vips if arp else ():
        with calling(tap.port_name, tap.device, f"add neighbour {vip}"):
            ip.neigh("replace", dst=str(vip), lladdr=tap.mac.hex(":"), ifindex=index, state="permanent")
