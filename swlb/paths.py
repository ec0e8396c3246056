"""Whom a probe asks, and how it gets there: straight to its server, or to the VIP and forced to the server.

A probe through the VIP leaves by the segment towards the server, from swlb's address there, so that a server that
answers as the VIP reaches swlb as its neighbour. Nothing here touches the operating system.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from swlb.addresses import Address, Network, packed
from swlb.build import Built
from swlb.config import Check, Config, Segment, Server, Service
from swlb.config.check_models import KEYS_OF_TYPE, PROBE_GRACE_S
from swlb.config.ways import segment_of_vip, segment_towards, vips_of, way_to
from swlb.probes import Target, Way
from swlb.probes.pins import Pin

Towards = tuple[str, int]  # the name of a segment, and an IP version
UNRESOLVED = ("INCOMPLETE", "FAILED")
ADVICE = {
    "nat": "",
    "dsr": "; has it the VIP on its loopback? `swlb doctor` says what it needs",
    "ipip": "; does it unpack IPIP, and has it the VIP on its loopback? `swlb doctor` says what it needs",
    "gue": "; does it unpack GUE, and has it the VIP on its loopback? `swlb doctor` says what it needs",
}


class Paths:
    """The ways of probes, for a configuration and its workers. `ways` are those out of this host."""

    def __init__(self, config: Config, built: Built, ways: Mapping[Towards, Way]) -> None:
        self.follow(config, built, ways)

    def follow(self, config: Config, built: Built, ways: Mapping[Towards, Way]) -> None:
        """They are those of that configuration. Ways of probes that have not changed are equal before and after."""
        self._config = config
        self._built = built
        self._ways = ways

    def of(self, service: Service, server: Server, check: Check) -> tuple[Target, Way]:
        """What a probe of the server is to ask, and its way; with `also` a second VIP of the server."""
        if service.via(check) == "vip":
            (target, way), *others = (self._through(service, server, check, vip) for vip in vips_of(service, server))
            return target, replace(way, also=others[0] if others else None)
        towards = segment_towards(self._config, server.address)
        assert towards is not None, "the configuration's check has let a server through that cannot be reached"
        target = Target(server.address, _l4_port(service, server, check), service=service.name, server=server.name)
        return target, self._ways[towards.name, server.address.version]

    def _through(self, service: Service, server: Server, check: Check, vip: Address) -> tuple[Target, Way]:
        segment = way_out(self._config, server, vip)
        route = way_to(self._config, server.address)
        assert segment is not None, "every VIP is in a network, or behind a route"
        assert route is not None, "every server is, too"
        pin = Pin(
            self._built.pins,
            self._built.doubles[service.name, server.name],
            idle_s=check.response + PROBE_GRACE_S,
            lost_hop=Hop(self, route.segment.name, route.router or server.address),
        )
        names = {"service": service.name, "server": server.name}
        l4_port, advice = service.vip_port(check), ADVICE[service.forward]
        target = Target(vip, l4_port, forced_to=server.address, advice=advice, **names)
        return target, replace(self._ways[segment.name, vip.version], pin=pin)

    def is_lost(self, segment: str, hop: Address) -> bool:
        """Whether swlb has asked for that neighbour in vain."""
        return self._built.workers.neighbour_state(self._built.segments[segment], packed(hop)) in UNRESOLVED


@dataclass(frozen=True, slots=True)
class Hop:
    """The neighbour on the way to a server; called, it says who that is where it does not answer swlb."""

    paths: Paths
    segment: str
    address: Address

    def __call__(self) -> Address | None:
        return self.address if self.paths.is_lost(self.segment, self.address) else None


def _l4_port(service: Service, server: Server, check: Check) -> int | None:
    """The l4_port that a probe of the server is about; None when there is none."""
    if "port" in KEYS_OF_TYPE[check.type]:
        return check.port or server.port or service.port_first
    if check.type != "exec":
        return None
    # A program is told of the server's; where clients choose among many there is none to tell.
    return server.port or (service.port_first if service.port_first == service.port_last else None)


def way_out(config: Config, server: Server, vip: Address) -> Segment | None:
    """The segment by which a probe of the server leaves for the VIP: the one towards the server, if swlb has an address
    of the VIP's family there (a tunnel carries the other, too), else one where it has."""
    towards = segment_towards(config, server.address)
    segments = [*([towards] if towards else []), *config.segments.values()]
    return next((segment for segment in segments if _speaks(segment, vip.version)), None)


def vips_probed(config: Config) -> dict[str, dict[Address, Network | None]]:
    """The VIPs to which probes leave by each segment, each with the network it is in; None: the segment's."""
    probed: dict[str, dict[Address, Network | None]] = {name: {} for name in config.segments}
    for server, vip in _probed(config):
        segment = way_out(config, server, vip)
        if segment is not None and vip not in probed[segment.name]:
            probed[segment.name][vip] = None if segment_of_vip(config, vip) is segment else _network_of(config, vip)
    return probed


def _probed(config: Config) -> Iterator[tuple[Server, Address]]:
    for service in config.services.values():
        if service.checks_through_vip:
            for server in service.servers.values():
                yield from ((server, vip) for vip in vips_of(service, server))


def _network_of(config: Config, vip: Address) -> Network:
    """The subnet around the VIP, or the longest prefix with a route that holds it."""
    home = segment_of_vip(config, vip)
    own = [] if home is None else [address.network for address in home.addresses]
    networks = [network for network in [*own, *(route.to for route in config.routes)] if vip in network]
    return max(networks, key=lambda network: network.prefixlen)


def _speaks(segment: Segment, version: int) -> bool:
    return any(own.version == version for own in segment.addresses)
