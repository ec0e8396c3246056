"""The kernel twin of a segment: a TAP where swlb runs, with the segment's MAC and addresses, for probes and the host.

It answers ARP for its own addresses only, takes packets in whatever way the answer would go, and says nothing of its
own accord but the listener reports (MLD) of its IPv6 addresses. Its routes give way to the host's.

A twin that stays when the configuration changes is edited in two steps, with swlb's workers changed in between:
`extend` gives it what it is to have beside what it has, `reduce` takes away the rest. So at no moment does it lack
what it has before and after, and what `extend` did is undone by `reduce` the other way round.
"""

import errno
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from swlb.namespaces import netlink
from swlb.taps import Tap, beside, calling, create, set_arp, set_mtu, set_up

T = TypeVar("T")

Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network
HostRoute = tuple[IPv4Network | IPv6Network, IPv4Address | IPv6Address]
Vips = Mapping[IPv4Address | IPv6Address, Network | None]

SYSCTL_DIR = Path("/proc/sys/net")

# So high that no route of the host's own, whoever set it, loses against one of ours.
HOST_METRIC = 20000
IFA_F_NODAD = 0x02
SCOPE_LINK = 253  # linux/rtnetlink.h: RT_SCOPE_LINK
ADDR_GEN_MODE_NONE = "1"

# The IPv4 and the IPv6 way of saying that nothing on the device leads to the gateway.
NO_WAY = dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH), "`via` must lie in a network of the segment")
NOT_THERE = (errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV)


@dataclass(frozen=True)
class Twin:
    """What a kernel twin has. What is bound to it reaches the `vips` by it, each in that network; None: the segment's.

    Without `arp` (on a segment without Ethernet) it asks nobody for a MAC.
    """

    addresses: tuple[Interface, ...]
    routes: tuple[HostRoute, ...] = ()
    mtu: int = 1500
    vips: Vips = field(default_factory=dict)
    arp: bool = True

    @property
    def has_ipv6(self) -> bool:
        """Whether IPv6 is on."""
        return any(address.version == 6 for address in self.addresses)

    @property
    def vip_networks(self) -> tuple[Network, ...]:
        """The networks of VIPs that are not the segment's, each once."""
        return tuple(dict.fromkeys(network for network in self.vips.values() if network is not None))


def open_twin(segment_name: str, device: str, twin: Twin, *, mac: bytes, queues: int = 1) -> Tap:
    """The kernel twin of a segment, up, in the calling thread's namespace.

    Raises PortError, and leaves nothing, when a call fails or a device of that name is there already.
    """
    tap = create(segment_name, device, birth_name=device, mtu=twin.mtu, mac=mac, queues=queues)
    try:
        # Before it is up: a link-local address, once made, would have been announced already.
        _set_sysctls(tap, device, has_ipv6=twin.has_ipv6)
        set_up(tap, arp=twin.arp)
        with _edited(tap) as (edit, _):
            edit(lambda ip, index: _add(ip, index, tap, twin, Twin(())))
    except BaseException:
        tap.close()
        raise
    return tap


def extend(tap: Tap, before: Twin, after: Twin) -> None:
    """The twin has what `after` says beside what it has. Raises PortError when a call fails; half may be done then."""
    with _edited(tap) as (edit, name):
        if after.has_ipv6 and not before.has_ipv6:
            _set_sysctls(tap, name, has_ipv6=True)
        edit(lambda ip, index: _add(ip, index, tap, after, before))
    if after.mtu > before.mtu:
        set_mtu(tap, after.mtu)


def reduce(tap: Tap, before: Twin, after: Twin) -> None:
    """An extended twin has what `after` says and no more. Raises PortError when a call fails.

    That something is gone already is none: so what `extend` did by half is undone, too.
    """
    with _edited(tap) as (edit, name):
        edit(lambda ip, index: _remove(ip, index, tap, before, after))
        if before.has_ipv6 and not after.has_ipv6:
            _set_sysctls(tap, name, has_ipv6=False)
        if before.arp != after.arp:
            set_arp(tap, arp=after.arp)
            # The kernel has forgotten all it knew.
            edit(lambda ip, index: _set_neighbours(ip, index, tap, after.vips if after.arp else ()))
    if after.mtu < before.mtu:
        set_mtu(tap, after.mtu)


Edit = Callable[[Callable[[IPRoute, int], None]], None]


@contextmanager
def _edited(tap: Tap) -> Iterator[tuple[Edit, str]]:
    """Within the block, what does netlink's work on the twin, wherever it is now, and its present name."""
    with calling(tap.port_name, tap.device, "edit"), beside(tap) as name:
        index = socket.if_nametoindex(name)
        yield lambda work: netlink(lambda ip: work(ip, index)), name


def _set_sysctls(tap: Tap, name: str, *, has_ipv6: bool) -> None:
    """The device is quiet and for itself, and does not mind asymmetric ways. Forwarding stays the host's affair.

    An address that goes takes no other of its subnet along.
    """
    wanted = {"ipv4": {"rp_filter": "2", "arp_ignore": "1", "promote_secondaries": "1"}}
    if has_ipv6 or (SYSCTL_DIR / "ipv6").exists():
        wanted["ipv6"] = {
            "accept_ra": "0",
            "autoconf": "0",
            "addr_gen_mode": ADDR_GEN_MODE_NONE,
            "disable_ipv6": "0" if has_ipv6 else "1",
        }
    for family, values in wanted.items():
        for key, value in values.items():
            path = SYSCTL_DIR / family / "conf" / name / key
            with calling(tap.port_name, tap.device, f"write {value} to {path}"):
                # A container's /proc/sys may be read-only; what is right already need not be written.
                if path.read_text().strip() != value:
                    path.write_text(value)


def _add(ip: IPRoute, index: int, tap: Tap, wanted: Twin, present: Twin) -> None:
    """The twin has what is wanted and not present."""
    for address in _without(wanted.addresses, present.addresses):
        other = _resized(address, present)
        if other is None or _holds(address, other):
            if other is not None:
                _remove_address(ip, index, tap, other)
            _add_address(ip, index, tap, address)
    for route in _without(wanted.routes, present.routes):
        with calling(tap.port_name, tap.device, f"add route {route[0]} via {route[1]}", NO_WAY):
            ip.route("append", **_gateway(route, index))
    for network in _without(wanted.vip_networks, present.vip_networks):
        with calling(tap.port_name, tap.device, f"add route {network}"):
            ip.route("append", **_link(network, index))
    if wanted.arp and present.arp:
        _set_neighbours(ip, index, tap, _without(wanted.vips, present.vips))


def _remove(ip: IPRoute, index: int, tap: Tap, before: Twin, after: Twin) -> None:
    """The twin has nothing of what is after no more."""
    for vip in _without(before.vips, after.vips):
        with _removing(tap, f"neighbour {vip}"):
            ip.neigh("del", dst=str(vip), ifindex=index)
    for network in _without(before.vip_networks, after.vip_networks):
        with _removing(tap, f"route {network}"):
            ip.route("del", **_link(network, index))
    for route in _without(before.routes, after.routes):
        with _removing(tap, f"route {route[0]} via {route[1]}"):
            ip.route("del", **_gateway(route, index))
    for address in _without(before.addresses, after.addresses):
        other = _resized(address, after)
        if other is None or _holds(address, other):
            _remove_address(ip, index, tap, address)
            if other is not None:
                _add_address(ip, index, tap, other)


def _without(entries: Iterable[T], others: Collection[T]) -> list[T]:
    return [entry for entry in entries if entry not in others]


def _resized(address: Interface, twin: Twin) -> Interface | None:
    """The twin's address that is this one with another subnet; None: there is none, or the kernel takes both.

    It takes an IPv6 address once. A subnet that grows does so in `extend`, one that shrinks in `reduce`.
    """
    if address.version == 4:
        return None
    return next((own for own in twin.addresses if own.ip == address.ip and own != address), None)


def _holds(address: Interface, other: Interface) -> bool:
    return address.network.prefixlen < other.network.prefixlen


def _add_address(ip: IPRoute, index: int, tap: Tap, address: Interface) -> None:
    with calling(tap.port_name, tap.device, f"add address {address}"):
        ip.addr(
            "replace",
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            # The metric of the connected route that comes with the address.
            rt_priority=HOST_METRIC,
            flags=IFA_F_NODAD if address.version == 6 else 0,
        )


def _remove_address(ip: IPRoute, index: int, tap: Tap, address: Interface) -> None:
    with _removing(tap, f"address {address}"):
        ip.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)


# Routes are appended: two twins may have one to the same network, and one may have it by two gateways for a moment.


def _gateway(route: HostRoute, index: int) -> dict[str, Any]:
    network, via = route
    return {"dst": str(network), "gateway": str(via), "oif": index, "priority": HOST_METRIC}


def _link(network: Network, index: int) -> dict[str, Any]:
    """A route for a VIP alone would draw the host's own packets here. One for its network comes after every other that
    leads there, and only what is bound to the device takes it.
    """
    return {"dst": str(network), "oif": index, "priority": HOST_METRIC + 1, "scope": SCOPE_LINK}


def _set_neighbours(ip: IPRoute, index: int, tap: Tap, vips: Iterable[IPv4Address | IPv6Address]) -> None:
    """Packets to the VIPs that leave by the device go to the segment's MAC."""
    for vip in vips:
        with calling(tap.port_name, tap.device, f"add neighbour {vip}"):
            ip.neigh("replace", dst=str(vip), lladdr=tap.mac.hex(":"), ifindex=index, state="permanent")


@contextmanager
def _removing(tap: Tap, what: str) -> Iterator[None]:
    """Within the block, a call that finds nothing to remove is none that fails."""
    with calling(tap.port_name, tap.device, f"remove {what}"):
        try:
            yield
        except NetlinkError as error:
            if error.code not in NOT_THERE:
                raise
