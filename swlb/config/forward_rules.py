"""What must hold where servers answer their clients directly: `forward` dsr, ipip and gue; and `mss`."""

from collections.abc import Iterator

from swlb.config.models import Config
from swlb.config.service_models import Gue, Server, Service
from swlb.config.source import Finding
from swlb.config.ways import vips_of, way_to

# The least that a link must carry: RFC 791 section 3.2, RFC 8200 section 5.
MIN_MTU = {4: 68, 6: 1280}


def ports_are_kept_by_direct_services(config: Config) -> Iterator[Finding]:
    """A server that answers as the VIP answers from the port the client used."""
    for service, server in _direct(config):
        one = service.port_first == service.port_last
        if server.port is None or (one and server.port == service.port_first):
            continue
        remedy = "leave the server's port out" + (f", or make it {service.port_first}" if one else "")
        expected = f"the VIP's port: ports cannot be translated when the reply goes straight to the client: {remedy}"
        yield Finding(("services", service.name, "servers", server.name, "port"), str(server.port), expected)


def direct_servers_are_neighbours(config: Config) -> Iterator[Finding]:
    """A server that is reached by its MAC alone is in a segment's own subnet."""
    for service, server in _direct(config):
        way = None if service.is_tunnel else way_to(config, server.address)
        if way is not None and way.router is not None:
            found = f"{server.address}, which is behind router {way.router}"
            expected = "a server in a segment's own subnet, because forward dsr changes the MAC only; or forward ipip"
            yield Finding(("services", service.name, "servers", server.name, "address"), found, expected)


def tunnels_have_room(config: Config) -> Iterator[Finding]:
    """What is left of a port's MTU behind a tunnel's headers is what the packets' family needs at least."""
    needs: dict[str, tuple[int, str]] = {}
    for service, server in _direct(config):
        way = way_to(config, server.address) if service.is_tunnel else None
        vips = vips_of(service, server)
        if way is not None and vips:
            version = max(vip.version for vip in vips)
            outer_len = service.outer_len(server)
            need = MIN_MTU[version] + outer_len
            why = f"at least {need}, because service {service.name} sends IPv{version} by this port in a tunnel"
            why += f", which takes {outer_len} bytes"
            needs[way.segment.name] = max(needs.get(way.segment.name, (0, "")), (need, why))
    for name, (need, why) in needs.items():
        for port in config.ports_of(config.segments[name]):
            if port.mtu < need:
                yield Finding(("ports", port.name, "mtu"), str(port.mtu), why)


def tunnels_say_which_gue(config: Config) -> Iterator[Finding]:
    """Only where packets travel in GUE its port may be chosen."""
    for service in config.services.values():
        if service.forward != "gue" and service.gue != Gue():
            found = f"port {service.gue.port} with forward {service.forward}"
            yield Finding(("services", service.name, "gue"), found, "the key left out, or forward gue")


def mss_is_of_tcp(config: Config) -> Iterator[Finding]:
    """Segments have a size in TCP only."""
    for service in config.services.values():
        if service.protocol == "udp" and service.mss != "off":
            expected = "off, because datagrams have no maximum segment size"
            yield Finding(("services", service.name, "mss"), str(service.mss), expected)


def _direct(config: Config) -> Iterator[tuple[Service, Server]]:
    for service in config.services.values():
        if service.is_direct:
            for server in service.servers.values():
                yield service, server
