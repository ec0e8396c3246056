"""What must hold where swlb puts an address of its own in the place of others': `source_nat` and `masquerade`."""

from collections.abc import Iterator

from swlb.config.models import Config
from swlb.config.service_models import SOURCE_PORTS, Service
from swlb.config.source import Finding, Path
from swlb.config.values import Address
from swlb.config.ways import as_end_of_subnet, subnets_of

# ext/tables/source.pxd
MAX_POOL = 16
MAX_SOURCES = 256


def source_nat_is_of_nat(config: Config) -> Iterator[Finding]:
    """Where the reply goes straight to the client, its address stays in the request."""
    for service in config.services.values():
        if service.is_direct and service.source_nat != "never":
            found = f"{service.source_nat} with forward {service.forward}"
            expected = "never, because the server must see whom to answer; or forward nat"
            yield Finding(("services", service.name, "source_nat"), found, expected)


def pools_are_used(config: Config) -> Iterator[Finding]:
    """Addresses and ports for the source stand where the source may be rewritten."""
    for service in config.services.values():
        if service.source_nat == "never":
            expected = "the key left out, because the source is never rewritten; or source_nat auto or always"
            if service.source_pool:
                yield Finding(("services", service.name, "source_pool"), "a list", expected)
            if service.source_ports != SOURCE_PORTS:
                found = f"{service.source_ports.first}-{service.source_ports.last}"
                yield Finding(("services", service.name, "source_ports"), found, expected)


def pools_are_swlbs_own(config: Config) -> Iterator[Finding]:
    """Every address that stands for others is swlb's alone, and named once in its pool."""
    others, subnets = _addresses_of_others(config), subnets_of(config)
    for path, pool in _pools(config):
        if len(pool) > MAX_POOL:
            yield Finding(path, f"{len(pool)} addresses", f"at most {MAX_POOL} addresses")
            continue
        for index, address in enumerate(pool):
            if address in pool[:index]:
                yield Finding((*path, index), f"{address} a second time", "each address once")
            elif owner := others.get(address):
                yield Finding((*path, index), f"{address}, which is {owner}", "an address that is swlb's alone")
            elif found := as_end_of_subnet(subnets, address):
                yield Finding((*path, index), found, "the address of one station")


def pools_have_every_family(config: Config) -> Iterator[Finding]:
    """A pool has an address for the servers, or for the segment's hosts, of each family."""
    for path, pool in _pools(config):
        if path[0] == "services":
            servers = config.services[str(path[1])].servers.values()
            needed = {server.address.version: "the service has servers" for server in servers}
        else:
            segment = config.segments[str(path[1])]
            needed = {own.version: "the segment has an address" for own in segment.addresses}
        for version in sorted(needed.keys() - {address.version for address in pool}):
            found = f"no IPv{version} address, and {needed[version]} of IPv{version}"
            yield Finding(path, found, f"an IPv{version} address beside the others")


def sources_are_few_enough(config: Config) -> Iterator[Finding]:
    """The addresses of all pools, and swlb's own where they stand in for a pool, are as many as a worker can have."""
    listed = {address for _, pool in _pools(config) for address in pool}
    own = {own.ip for segment in config.segments.values() for own in segment.addresses}
    rewritten = any(service.source_nat != "never" and service.servers for service in config.services.values())
    masqueraded = any(segment.masquerade != "off" for segment in config.segments.values())
    if len(listed | own) > MAX_SOURCES and (rewritten or masqueraded):
        found = f"{len(listed)} addresses in pools, beside {len(own)} of segments"
        expected = f"at most {MAX_SOURCES} in all, because each may stand for clients; or source_nat never"
        yield Finding(("services" if rewritten else "segments",), found, expected)


def masquerade_has_somebody(config: Config) -> Iterator[Finding]:
    """A segment that masquerades has an address to do it with, and another segment whose hosts it stands for."""
    addressed = [segment.name for segment in config.segments.values() if segment.addresses]
    for segment in config.segments.values():
        path = ("segments", segment.name, "masquerade")
        if segment.masquerade == "off":
            continue
        if not segment.addresses:
            yield Finding(path, "masquerade on a segment without an address", "an address of the segment, or off")
        elif len(addressed) < 2:
            found = "masquerade where no other segment has an address, so that nothing is routed from this one"
            yield Finding(path, found, "off, or another segment with an address")


def _pools(config: Config) -> Iterator[tuple[Path, tuple[Address, ...]]]:
    """Those that are used."""
    for service in config.services.values():
        if service.source_pool and service.source_nat != "never":
            yield ("services", service.name, "source_pool"), service.source_pool
    for segment in config.segments.values():
        if isinstance(segment.masquerade, tuple):
            yield ("segments", segment.name, "masquerade"), segment.masquerade


def _addresses_of_others(config: Config) -> dict[Address, str]:
    """What must not stand for clients, and whose it is."""
    routers: dict[Address, str] = {route.via: "a router" for route in config.routes}
    servers = {server.address: f"server {server.name} of service {service.name}"
               for service in config.services.values() for server in service.servers.values()}  # fmt: skip
    return routers | servers | {vip: _vip_of(service) for service in config.services.values() for vip in service.vips}


def _vip_of(service: Service) -> str:
    return f"the VIP of service {service.name}"
