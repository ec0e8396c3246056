"""What the servers of a configuration must have set for its services to work: the exact commands, server by server.

Linux on the servers is assumed. Nothing here is run, and nothing is asked of the servers.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from swlb.addresses import Address
from swlb.bypass import clients_of, warning
from swlb.config import Config, Gue, Server, Service
from swlb.config.ways import Way, vips_of, way_to
from swlb.journey import foreign_sources, gateway_of, mss_of

WIDTH = 100  # columns of a comment; a command is never broken

# By IP versions inside and outside: the module of the kernel, and what `ip link add` calls the device.
DEVICES: dict[tuple[int, int], tuple[str, str]] = {
    (4, 4): ("ipip", "ipip"),
    (6, 4): ("sit", "sit"),
    (4, 6): ("ip6_tunnel", "ip6tnl mode ipip6"),
    (6, 6): ("ip6_tunnel", "ip6tnl mode ip6ip6"),
}
FOU = {4: ("fou", "ip fou"), 6: ("fou6", "ip -6 fou")}


@dataclass(frozen=True)
class Step:
    """Commands that belong together, and why; `instead` does the same where the kernel cannot."""

    why: str
    commands: tuple[str, ...]
    instead: tuple[str, ...] = ()


@dataclass
class Patient:
    """A server's address, whose servers it is ("web/web1"), and what it needs."""

    address: str
    servers: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Role:
    """What is asked of one address by all services that it is a server of."""

    way: Way
    servers: list[str] = field(default_factory=list)
    vips: dict[Address, None] = field(default_factory=dict)  # ordered, each once
    wrapped: dict[int, None] = field(default_factory=dict)  # IP versions that come in tunnels
    gue_ports: dict[int, None] = field(default_factory=dict)
    mss: dict[int, int] = field(default_factory=dict)  # by IP version
    is_gateway: bool = False
    notes: dict[str, None] = field(default_factory=dict)


def diagnose(config: Config) -> list[Patient]:
    """What each server needs, in the order of the configuration. One without steps needs nothing."""
    roles: dict[Address, _Role] = {}
    for service in config.services.values():
        for server in service.servers.values():
            way = way_to(config, server.address)
            if way is not None:
                role = roles.setdefault(server.address, _Role(way))
                role.servers.append(f"{service.name}/{server.name}")
                _ask(config, service, server, role)
    return [
        Patient(str(address), role.servers, list(_steps(address, role)), list(role.notes))
        for address, role in roles.items()
    ]


def rows(patients: list[Patient]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [asdict(patient) for patient in patients]


def prescription(patients: list[Patient]) -> str:
    """The same as a page of shell commands, whose comments say why."""
    return "\n".join("\n".join([*_page(patient), ""]) for patient in patients) or "# no service has a server\n"


def _ask(config: Config, service: Service, server: Server, role: _Role) -> None:
    """The role includes what the service wants of the server."""
    role.is_gateway |= gateway_of(config, service, server) is not None
    for note in _notes(config, service, server, role.way):
        role.notes[note] = None
    if not service.is_direct:
        return
    for vip in vips_of(service, server):
        role.vips[vip] = None
        if service.is_tunnel:
            role.wrapped[vip.version] = None
        if service.is_tunnel and service.mss != "off":
            mss = mss_of(config, service, server, vip.version)
            role.mss[vip.version] = min(mss, role.mss.get(vip.version, mss))
    if service.forward == "gue":
        role.gue_ports[service.gue.port] = None


def _notes(config: Config, service: Service, server: Server, way: Way) -> Iterator[str]:
    """What no command on the server does."""
    if service.is_direct:
        yield f"It answers clients itself, so it needs a route to them; swlb is a router at {way.own.ip}."
        if any(vip.version == 4 for vip in vips_of(service, server)):
            yield "sysctl -w net.ipv4.conf.all.rp_filter=2, where that route is by another device than swlb."
    if way.router is not None and gateway_of(config, service, server) is not None:
        yield f"Router {way.router}, which it is behind, must send what is for clients to swlb, {way.own.ip}."
    if service.source_nat == "never" and not service.is_direct:
        yield f"Service {service.name}: {warning(clients_of(config, service, server))}"
    if foreign := foreign_sources(config, service, server):
        yield f"It needs a route to {', '.join(map(str, foreign))} by swlb, {way.own.ip}."


def _steps(address: Address, role: _Role) -> Iterator[Step]:
    if role.is_gateway and role.way.router is None:
        ip = "ip" if address.version == 4 else "ip -6"
        command = f"{ip} route replace default via {role.way.own.ip}"
        yield Step("Its gateway is swlb, so that replies pass there.", (command,))
    if role.vips:
        commands = tuple(_on_loopback(vip) for vip in role.vips)
        yield Step("It takes packets for the VIP, and answers as the VIP.", commands)
    if any(vip.version == 4 for vip in role.vips):
        why = "It leaves ARP for the VIP to swlb. (IPv6 does so by itself with addresses of lo.)"
        yield Step(why, tuple(f"sysctl -w net.ipv4.conf.all.{key}" for key in ("arp_ignore=1", "arp_announce=2")))
    if role.wrapped:
        yield _tunnel(address, role)
    for version, mss in role.mss.items():
        why = f"It tells TCP clients of IPv{version} what fits into the tunnel: swlb does not see its SYN-ACK."
        ip = f"ip -{version}"
        yield Step(why, (f"{ip} route change $({ip} route show default | head -n 1) advmss {mss}",))


def _on_loopback(vip: Address) -> str:
    # Duplicate address detection has nobody to ask on lo, and would only delay it.
    return f"ip address replace {vip}/32 dev lo" if vip.version == 4 else f"ip address replace {vip}/128 dev lo nodad"


def _tunnel(address: Address, role: _Role) -> Step:
    """It unpacks what comes from swlb, and nobody else's."""
    outer = address.version
    commands = []
    for inner in role.wrapped:
        module, device = DEVICES[inner, outer]
        name = f"swlb{inner}in{outer}"
        ends = f"local {address} remote {role.way.sender}"
        commands += [f"modprobe {module}", f"ip link add name {name} type {device} {ends}", f"ip link set {name} up"]
        if inner == 4:
            # What comes out of the tunnel is answered by another device; 2 only asks that there is a way back.
            commands.append(f"sysctl -w net.ipv4.conf.{name}.rp_filter=2")
    for port in role.gue_ports:
        module, fou = FOU[outer]
        commands += [f"modprobe {module}", f"{fou} add port {port} gue"]
    return Step("It unpacks what swlb sends it.", tuple(dict.fromkeys(commands)), tuple(_decap(role)))


def _decap(role: _Role) -> Iterator[str]:
    """Commands that unpack without the kernel: one for IPIP and the first port of GUE, one for each further port."""
    vips = " ".join(f"--vip {vip}" for vip in role.vips)
    first, *others = role.gue_ports or [Gue().port]
    yield f"swlb decap {vips}" + (f" --gue-port {first}" if first != Gue().port else "")
    for number, port in enumerate(others, start=1):
        yield f"swlb decap {vips} --gue-port {port} --no-ipip --device swdecap{number}"


def _page(patient: Patient) -> Iterator[str]:
    yield f"# {patient.address}: {', '.join(patient.servers)}"
    if not patient.steps:
        yield "# Nothing to set."
    for step in patient.steps:
        yield from _comment(step.why)
        yield from step.commands
        if step.instead:
            yield "# Or, where the kernel has no such device:"
            yield from (f"#   {command}" for command in step.instead)
    for note in patient.notes:
        yield from _comment(note)


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
