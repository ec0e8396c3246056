"""Which addresses and ports of swlb's own stand for clients towards a server, and for hosts that it masquerades."""

from collections.abc import Mapping
from dataclasses import dataclass

from swlb.addresses import Address
from swlb.config import Config, Segment, Server, Service
from swlb.config.service_models import SOURCE_PORTS
from swlb.config.values import PortRange
from swlb.config.ways import way_to


@dataclass(frozen=True)
class Pool:
    """Addresses, each with the ports from first to last. Equal pools are one."""

    addresses: tuple[Address, ...]
    l4_ports: PortRange


@dataclass(frozen=True)
class Pools:
    """Who is stood for by which: clients at a server (by service and server), the hosts of a segment (`hosts`), and
    what leaves by a segment in the name of swlb's address there (`exits`)."""

    servers: Mapping[tuple[str, str], Pool]
    hosts: Mapping[str, Pool]
    exits: Mapping[str, Pool]

    def all(self) -> list[Pool]:
        """Each once."""
        return list(dict.fromkeys([*self.servers.values(), *self.hosts.values(), *self.exits.values()]))


def pools_of(config: Config) -> Pools:
    """All that the configuration needs."""
    servers = {
        (service.name, server.name): pool
        for service in config.services.values()
        if service.source_nat != "never"
        for server in service.servers.values()
        if (pool := _pool(config, service, server)) is not None
    }
    segments = config.segments.values()
    hosts = {
        segment.name: Pool(segment.masquerade, SOURCE_PORTS)
        for segment in segments
        if isinstance(segment.masquerade, tuple)
    }
    named = any(segment.masquerade == "on" for segment in segments)
    exits = {segment.name: _exit(segment) for segment in segments if named and segment.addresses}
    return Pools(servers, hosts, exits)


def _pool(config: Config, service: Service, server: Server) -> Pool | None:
    """The service's own pool, or swlb's address on the way to the server."""
    if service.source_pool:
        return Pool(service.source_pool, service.source_ports)
    way = way_to(config, server.address)
    return Pool((way.own.ip,), service.source_ports) if way else None


def _exit(segment: Segment) -> Pool:
    """The segment's first address of each family."""
    first = {own.version: own.ip for own in reversed(segment.addresses)}
    return Pool(tuple(first.values()), SOURCE_PORTS)
