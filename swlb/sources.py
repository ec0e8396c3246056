"""Which addresses and ports of swlb's own stand for clients towards a server."""

from dataclasses import dataclass

from swlb.addresses import Address
from swlb.config import Config, Server, Service
from swlb.config.values import PortRange
from swlb.config.ways import way_to


@dataclass(frozen=True)
class Pool:
    """Addresses, each with the ports from first to last. Equal pools are one."""

    addresses: tuple[Address, ...]
    l4_ports: PortRange


def pools_of(config: Config) -> dict[tuple[str, str], Pool]:
    """By service and server, where a client may be stood for."""
    return {
        (service.name, server.name): pool
        for service in config.services.values()
        if service.source_nat != "never"
        for server in service.servers.values()
        if (pool := _pool(config, service, server)) is not None
    }


def _pool(config: Config, service: Service, server: Server) -> Pool | None:
    """The service's own pool, or swlb's address on the way to the server."""
    if service.source_pool:
        return Pool(service.source_pool, service.source_ports)
    way = way_to(config, server.address)
    return Pool((way.own.ip,), service.source_ports) if way else None
