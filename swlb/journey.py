"""How the packets of a service travel, in words: what a server sees, what comes back by which way, what it needs."""

from collections.abc import Iterator

from swlb.addresses import Address
from swlb.bypass import clients_past, warning
from swlb.config import Config, Server, Service
from swlb.config.service_models import SOURCE_PORTS
from swlb.config.ways import Way, is_one_arm, routes_for, segment_of_vip, way_to

TCP_HEADERS_LEN = {4: 40, 6: 60}  # of IP and TCP, without options
STRAIGHT = (
    "straight from the server to the client, as the VIP's, with the server's own routes. Where swlb is not the switch"
    " between them it sees only the client's half of a session."
)
DOCTOR = "`swlb doctor FILE` prints the commands."


def journey(config: Config, service: Service) -> Iterator[tuple[str, str]]:
    """Sentences about the way of a packet, each under its heading. None where there is no server to go to."""
    if not service.servers:
        return
    yield "request", _request(config, service)
    if service.is_tunnel:
        yield "size", _size(config, service)
    if service.mss != "off":
        yield "mss", _mss(config, service)
    if not service.is_direct:
        yield "source", _source(config, service)
    yield "reply", STRAIGHT if service.is_direct else _reply(config, service)
    yield "servers need", _needs(config, service)
    for words in _traps(config, service):
        yield "watch out", words


def inner_mtu(config: Config, service: Service, server: Server) -> int:
    """The longest packet that reaches the server whole: the least MTU on its segment, without the tunnel's headers."""
    way = way_to(config, server.address)
    mtus = [port.mtu for port in config.ports_of(way.segment)] if way else []
    return min(mtus, default=0) - service.outer_len(server)


def mss_of(config: Config, service: Service, server: Server, version: int) -> int:
    """The longest TCP segment that is announced where the service's `mss` is not off."""
    fitting = inner_mtu(config, service, server) - TCP_HEADERS_LEN[version]
    return fitting if service.mss == "auto" else int(service.mss)


def gateway_of(config: Config, service: Service, server: Server) -> Way | None:
    """The way on which swlb must be the server's gateway for its replies to come back; None: it need not be."""
    if service.is_direct or service.source_nat == "always":
        return None
    needs = service.source_nat == "never" if is_one_arm(config) else routes_for(config, server)
    return way_to(config, server.address) if needs else None


def foreign_sources(config: Config, service: Service, server: Server) -> list[Address]:
    """The sources of requests that the server does not find in its own subnet and has no swlb as gateway for."""
    way = way_to(config, server.address)
    if way is None or gateway_of(config, service, server) is not None:
        return []
    return [own for own in service.source_pool if own.version == way.own.version and own not in way.own.network]


def _request(config: Config, service: Service) -> str:
    if service.forward == "nat":
        how = "its destination becomes the server's address and port. TTL: one less from segment to segment"
        return f"{how}, as it was within one."
    seen = "the server sees the client as source and the VIP as destination"
    if service.forward == "dsr":
        return f"nothing but the MACs changes: {seen}. TTL as it was."
    outside = "by IPIP" if service.forward == "ipip" else f"by GUE (UDP port {service.gue.port})"
    ways = [way_to(config, server.address) for server in service.servers.values()]
    senders = ", ".join(dict.fromkeys(str(way.sender) for way in ways if way))
    return (
        f"packed unchanged into a packet of swlb's, from {senders} to the server, {outside}; unpacked there, {seen}."
        " TTL as it was, outside 64."
    )


def _size(config: Config, service: Service) -> str:
    tightest = min(service.servers.values(), key=lambda server: inner_mtu(config, service, server))
    return (
        f"the tunnel takes {service.outer_len(tightest)} bytes, so packets of up to"
        f" {inner_mtu(config, service, tightest)} bytes pass; who sends longer ones is told so by ICMP."
    )


def _mss(config: Config, service: Service) -> str:
    """Of the server that takes least, as which one it will be is not known when the client begins."""
    least = {
        vip.version: min(mss_of(config, service, server, vip.version) for server in service.servers.values())
        for vip in service.vips
    }
    listed = ", ".join(f"{mss} bytes in IPv{version}" for version, mss in least.items())
    where = "the client's SYN" if service.is_direct else "SYN and SYN-ACK"
    return f"no segment longer than {listed} is announced in {where} (mss {service.mss})."


def _source(config: Config, service: Service) -> str:
    stays = "the servers see the client's own address"
    if service.source_nat == "never":
        return f"untouched: {stays}."
    ways = [way_to(config, server.address) for server in service.servers.values()]
    own = dict.fromkeys(way.own.ip for way in ways if way)
    pool = ", ".join(map(str, service.source_pool or own))
    ports = f"ports {service.source_ports.first}-{service.source_ports.last}"
    if service.source_ports == SOURCE_PORTS and not service.source_pool:
        ports += " but for the kernel's own"
    if service.source_nat == "always":
        return f"always rewritten: the servers see {pool}, {ports}, and never a client's address."
    clients = " and for ".join(clients_past(config, service))
    where = f"exactly where the reply would pass swlb by: for {clients}"
    return f"rewritten to {pool}, {ports}, {where}. Everywhere else {stays}."


def _reply(config: Config, service: Service) -> str:
    by = "swlb, which puts the VIP in the place of the server's address"
    return f"through {by}, and the client in its own." if service.source_nat == "always" else f"through {by}."


def _needs(config: Config, service: Service) -> str:
    if service.is_tunnel:
        return f"the VIP on their loopback, and a tunnel device or `swlb decap` to unpack. {DOCTOR}"
    if service.is_direct:
        return f"the VIP on their loopback, and silence about it in ARP. {DOCTOR}"
    needs = dict.fromkeys(words for server in service.servers.values() for words in _routes(config, service, server))
    return f"{'; '.join(needs)}." if needs else "no setting."


def _routes(config: Config, service: Service, server: Server) -> Iterator[str]:
    gateway = gateway_of(config, service, server)
    if gateway is not None and gateway.router is None:
        yield f"swlb as their gateway, {gateway.own.ip}"
    elif gateway is not None:
        yield f"router {gateway.router} to send what is for clients to swlb, {gateway.own.ip}"
    for address in foreign_sources(config, service, server):
        yield f"a route to {address} by swlb"


def _traps(config: Config, service: Service) -> Iterator[str]:
    clients = clients_past(config, service)
    if clients and service.source_nat == "never":
        yield warning(clients)
    if not service.is_direct:
        return
    asked_itself = [check for check in service.checks if service.via(check) == "server" and check.type != "agent"]
    if asked_itself and not service.checks_through_vip:
        why = service.why_not_through_vip(asked_itself[0])
        asks = "the check asks the server's own address" + (f", as {why}" if why else "")
        yield f"{asks}: what serves must listen there, too, and a server that lacks the VIP counts as up."
    homes = [segment_of_vip(config, vip) for vip in service.vips]
    open_homes = dict.fromkeys(home.name for home in homes if home is not None and not home.vip_guard)
    for name in open_homes:
        yield (
            f"a server that answers ARP or neighbour discovery for the VIP draws clients away from swlb (event"
            f" vip_conflict); `vip_guard: true` on segment {name} silences it."
        )
