"""Replies that pass swlb by: whose, as far as the configuration tells, what happens then, and the ways out.

`swlb check` says so beforehand and the event `reply_bypasses` when it happens, with the same words. Only `forward:
nat` knows the trap: a server that has the VIP may answer for it.
"""

from swlb.addresses import Address
from swlb.config import Config, Server, Service
from swlb.config.ways import segment_of_vip, vips_of, way_to

WHAT_HAPPENS = "the server answers the client directly, from an address that the client never asked, and is not heard"
WAYS_OUT = (
    "source_nat auto; swlb as the servers' gateway, for clients of other subnets; clients and servers behind different"
    " ports of swlb, as in mode transparent; forward dsr, ipip or gue"
)


def clients_past(config: Config, service: Service) -> list[str]:
    """The clients, in words, whose requests would be answered past swlb if their addresses stayed in them."""
    if service.is_direct:
        return []
    found = [words for server in service.servers.values() for words in clients_of(config, service, server)]
    return list(dict.fromkeys(found))


def clients_of(config: Config, service: Service, server: Server) -> list[str]:
    """The same of one server, or of the router before it."""
    way = way_to(config, server.address)
    if way is None:
        return []
    if way.router is not None:
        return [f"clients behind router {way.router}, as the server is"]
    if len(way.segment.ports) > 1:
        return ["hosts behind the same port as the server (a server that calls the VIP and is chosen itself is one)"]
    hosts = f"hosts of {way.own.network} (a server that calls the VIP is one)"
    if any(segment_of_vip(config, vip) is way.segment for vip in vips_of(service, server)):
        return [hosts, f"clients of other subnets who come by segment {way.segment.name}"]
    return [hosts]


def warning(clients: list[str]) -> str:
    """What is foreseen of a service that leaves these clients' addresses as they are."""
    return f"replies pass swlb by for {' and for '.join(clients)}: {WHAT_HAPPENS}. Ways out: {WAYS_OUT}."


def notice(service: Service, server: Server, client: Address) -> str:
    """What has happened: requests of the client went on to a server that counts as up, and swlb saw no reply."""
    doubt = "" if service.checks else " (if it is there at all: it has no check)"
    return (
        f"service {service.name}, server {server.name} ({server.address}){doubt}: replies pass swlb by for {client}:"
        f" {WHAT_HAPPENS}. Ways out: {WAYS_OUT}."
    )
