"""What must hold between the services of a configuration and the rest of it."""

from collections.abc import Iterator

from swlb.config.models import Config, Server, Service
from swlb.config.source import Finding, Path
from swlb.config.values import Address, Network, PortRange
from swlb.config.ways import as_end_of_subnet, subnets_of

MAX_SERVERS = 65535  # an index of 16 bits names a server in a session
MAX_SERVICES = 32767  # with two VIPs each; an index of 16 bits names them, and its last value none
LISTED_SUBNETS = 6  # in a message; more would hide its end


def vips_are_their_own(config: Config) -> Iterator[Finding]:
    """No VIP is a segment's address or an end of a subnet."""
    owners, subnets = _owners(config), subnets_of(config)
    for path, vip in _vips(config):
        if owner := owners.get(vip):
            yield Finding(path, f"{vip}, which is the address of segment {owner}", "an address nobody else has")
        elif found := as_end_of_subnet(subnets, vip):
            yield Finding(path, found, "the address of one station")


def vips_are_reachable(config: Config) -> Iterator[Finding]:
    """Every VIP is inside a segment's subnet, or (not in transparent mode) a route leads to it."""
    subnets, prefixes = subnets_of(config), [route.to for route in config.routes]
    for path, vip in _vips(config):
        if any(vip in network for network in subnets):
            continue
        if config.mode == "transparent":
            expected = f"a VIP inside {_listed(subnets)}, because the mode is transparent"
            yield Finding(path, f"{vip}, which is outside every segment", expected)
        elif not any(vip in network for network in prefixes):
            found = f"{vip}, which is outside every segment and route"
            yield Finding(path, found, f"a VIP inside {_listed(subnets)}, or a route to it")


def l4_ports_of_a_vip_are_served_once(config: Config) -> Iterator[Finding]:
    """No VIP, protocol and l4_port belongs to two services."""
    seen: dict[tuple[Address, str], list[Service]] = {}
    for path, vip in _vips(config):
        service = config.services[str(path[1])]
        others = seen.setdefault((vip, service.protocol), [])
        for other in others:
            first = max(service.port_first, other.port_first)
            last = min(service.port_last, other.port_last)
            if first <= last:
                shared = first if first == last else f"{first}-{last}"
                found = f"{service.protocol} port {shared} of {vip}, which service {other.name} has already"
                yield Finding(("services", service.name, "port"), found, "each port of a VIP in one service")
        others.append(service)


def server_addresses_are_their_own(config: Config) -> Iterator[Finding]:
    """No server has an address of swlb's own, or an end of a subnet."""
    vips = {vip: path[1] for path, vip in _vips(config)}
    owners, subnets = _owners(config), subnets_of(config)
    for service, server in _servers(config):
        path, address = _place(service, server, "address"), server.address
        if address in vips:
            yield Finding(path, f"{address}, which is the VIP of service {vips[address]}", "the server's own address")
        elif owner := owners.get(address):
            found = f"{address}, which is the address of segment {owner}"
            yield Finding(path, found, "the server's own address")
        elif found := as_end_of_subnet(subnets, address):
            yield Finding(path, found, "the address of one station")


def servers_are_reachable(config: Config) -> Iterator[Finding]:
    """Every server is inside a segment's subnet, or a route leads to it."""
    subnets, prefixes = subnets_of(config), [route.to for route in config.routes]
    for service, server in _servers(config):
        if not any(server.address in network for network in subnets + prefixes):
            found = f"{server.address}, which is outside every segment and route"
            expected = f"an address inside {_listed(subnets)}, or a route to it"
            yield Finding(_place(service, server, "address"), found, expected)


def servers_differ(config: Config) -> Iterator[Finding]:
    """No service has one address and l4_port twice."""
    for service in config.services.values():
        first: dict[tuple[Address, PortRange], Server] = {}
        for server in service.servers.values():
            ports = PortRange(server.port, server.port) if server.port else service.l4_ports
            other = first.setdefault((server.address, ports), server)
            if other is not server:
                found = f"{server.address}, which is server {other.name} with the same port"
                yield Finding(_place(service, server, "address"), found, "each address and port once in a service")


def servers_and_vips_share_families(config: Config) -> Iterator[Finding]:
    """Every server has a VIP of its family to serve, and where there are servers every VIP has one.

    A tunnel carries either family to either.
    """
    for service in config.services.values():
        if service.is_tunnel:
            continue
        vip_families = {vip.version for vip in service.vips}
        for server in service.servers.values():
            if server.address.version not in vip_families:
                found = f"{server.address}, and no VIP of the service is IPv{server.address.version}"
                expected = f"an address of the VIP's family, or an IPv{server.address.version} VIP beside it"
                yield Finding(_place(service, server, "address"), found, expected)
        families = {server.address.version for server in service.servers.values()}
        for index, vip in enumerate(service.vips):
            if families and vip.version not in families:
                found = f"{vip}, and no server of the service is IPv{vip.version}"
                yield Finding(("services", service.name, "vip", index), found, f"a server with IPv{vip.version}")


def servers_are_few_enough(config: Config) -> Iterator[Finding]:
    """An index of 16 bits can name every server, and the double of each that is probed through its VIP."""
    count = sum(1 for _ in _servers(config))
    doubles = sum(bool(service.checks_through_vip) for service, _ in _servers(config))
    if count + doubles > MAX_SERVERS:
        twice = f", {doubles} of which count twice as they are checked via vip" if doubles else ""
        yield Finding(("services",), f"{count} servers{twice}", f"at most {MAX_SERVERS} servers in all services")


def services_are_few_enough(config: Config) -> Iterator[Finding]:
    """An index of 16 bits can name every service, and every VIP of each."""
    if len(config.services) > MAX_SERVICES:
        yield Finding(("services",), f"{len(config.services)} services", f"at most {MAX_SERVICES} services")


def _vips(config: Config) -> Iterator[tuple[Path, Address]]:
    for name, service in config.services.items():
        for index, vip in enumerate(service.vips):
            yield ("services", name, "vip", index), vip


def _servers(config: Config) -> Iterator[tuple[Service, Server]]:
    for service in config.services.values():
        for server in service.servers.values():
            yield service, server


def _place(service: Service, server: Server, key: str) -> Path:
    return ("services", service.name, "servers", server.name, key)


def _owners(config: Config) -> dict[Address, str]:
    """The segments, by name, of swlb's own addresses; of one that several have, the first."""
    return {own.ip: name for name, segment in reversed(config.segments.items()) for own in segment.addresses}


def _listed(networks: list[Network]) -> str:
    if not networks:
        return "a segment's subnet (no segment has an address)"
    listed = ", ".join(map(str, networks[:LISTED_SUBNETS]))
    return listed if len(networks) <= LISTED_SUBNETS else f"{listed} or another segment's subnet"
