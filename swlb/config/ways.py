"""Which way a packet takes, as far as the configuration alone tells: by which segment, over which router."""

from collections.abc import Iterable
from dataclasses import dataclass

from swlb.config.models import Config, Segment
from swlb.config.service_models import Server, Service
from swlb.config.values import Address, Interface, Network, end_of_subnet


@dataclass(frozen=True)
class Way:
    """Packets leave by the segment, in which swlb has the address `own`; to the router, or to whom they are for."""

    segment: Segment
    own: Interface
    router: Address | None = None

    @property
    def sender(self) -> Address:
        """The source of swlb's own packets that leave by the segment: its first address of the family."""
        return next(own.ip for own in self.segment.addresses if own.version == self.own.version)


def way_to(config: Config, address: Address) -> Way | None:
    """The way to the address: the longest prefix decides. None: there is none."""
    connected = _connected(config, address)
    fitting = [(way.own.network.prefixlen, way) for way in connected]
    for route in config.routes:
        if route.to.version == address.version and address in route.to:
            ways = _connected(config, route.via)
            fitting += [(route.to.prefixlen, Way(way.segment, way.own, route.via)) for way in ways]
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]


def _connected(config: Config, address: Address) -> list[Way]:
    """The ways to the address as a neighbour."""
    owns = [(segment, own) for segment in config.segments.values() for own in segment.addresses]
    return [Way(segment, own) for segment, own in owns if own.version == address.version and address in own.network]


def segment_towards(config: Config, address: Address) -> Segment | None:
    """The segment by which packets to the address leave. None: no way."""
    way = way_to(config, address)
    return way.segment if way else None


def segment_of_vip(config: Config, vip: Address) -> Segment | None:
    """The segment whose network holds the VIP; None when it is reached by routes only."""
    for segment in config.segments.values():
        if any(i.version == vip.version and vip in i.network for i in segment.addresses):
            return segment
    return None


def subnets_of(config: Config) -> list[Network]:
    """The subnets of all segments, each once."""
    addresses = [address for segment in config.segments.values() for address in segment.addresses]
    return list(dict.fromkeys(address.network for address in addresses))


def as_end_of_subnet(subnets: Iterable[Network], address: Address) -> str:
    """The address with what it is of its subnet, or '' where it may be a station's."""
    for network in subnets:
        if address in network and (word := end_of_subnet(address, network)):
            return f"{address}, the {word} address of {network}"
    return ""


def vips_of(service: Service, server: Server) -> tuple[Address, ...]:
    """The VIPs whose clients the server may be given: of its own family, but in a tunnel there is room for any."""
    return tuple(vip for vip in service.vips if service.is_tunnel or vip.version == server.address.version)


def is_one_arm(config: Config) -> bool:
    """Whether swlb hangs beside a switch by one port instead of standing in the way, if only between VLANs of one."""
    return sum(len(segment.ports) for segment in config.segments.values()) == 1


def routes_for(config: Config, server: Server) -> bool:
    """Whether the server's replies to other subnets come back only if they are routed by swlb, its gateway."""
    if config.mode == "transparent":
        return False
    subnets = [network for network in subnets_of(config) if network.version == server.address.version]
    return config.mode == "routed" or len(subnets) > 1
