"""What the host has already, and what of it the segments' networks would get in the way of. Creates nothing."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

import netifaces

from swlb.addresses import Address, Network
from swlb.config import Config
from swlb.config.values import PortRange
from swlb.errors import SwlbError

FAMILIES = (netifaces.AF_INET, netifaces.AF_INET6)


@dataclass(frozen=True)
class HostAddress:
    """An address of the namespace that swlb runs in, with the network around it."""

    device: str
    address: Address
    network: Network


def kernel_ports() -> PortRange:
    """The ports that the kernel of the namespace gives to connections which ask for none."""
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    return PortRange(int(first), int(last))


def host_addresses() -> Iterator[HostAddress]:
    """Every address the namespace has now; addresses that mean something on one link only are left out."""
    for device in netifaces.interfaces():
        for family in FAMILIES:
            for entry in netifaces.ifaddresses(device).get(family, []):
                address = ip_address(entry["addr"].partition("%")[0])
                if not address.is_link_local and not address.is_loopback:
                    # netifaces gives "255.255.255.0" for IPv4 and "ffff:...::/64" for IPv6.
                    prefix = entry["netmask"].rpartition("/")[2]
                    yield HostAddress(device, address, ip_network(f"{address}/{prefix}", strict=False))


def check_surroundings(config: Config, *, twins: Collection[str] = ()) -> list[str]:
    """Sentences about segments whose network the host is in already: it may not be reached as before.

    Kernel twins that are there are swlb's, and not the host's.
    Raises SwlbError when an address that swlb would take or answer for is the host's own.
    """
    host = [theirs for theirs in host_addresses() if theirs.device not in twins]
    wanted = {ip: f"service {service.name}" for service in config.services.values() for ip in service.source_pool}
    wanted |= {interface.ip: f"segment {segment.name}" for segment in config.segments.values()
               for interface in segment.addresses}
    wanted |= {vip: f"service {service.name}" for service in config.services.values() for vip in service.vips}
    for theirs in host:
        if theirs.address in wanted:
            raise SwlbError(
                f"{theirs.address} of {wanted[theirs.address]} is this host's own already, on {theirs.device}:"
                " choose another address, or run swlb in a namespace of its own ('ip netns exec NAME swlb run ...')"
            )
    return [
        f"segment {segment.name}: {interface.network} is also where this host has {theirs.address} on {theirs.device};"
        " the host keeps its own way to it, checks go by the segment"
        for segment in config.segments.values()
        for interface in segment.addresses
        for theirs in host
        if theirs.network.version == interface.network.version and theirs.network.overlaps(interface.network)
    ]
