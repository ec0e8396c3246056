"""What `swlb show` tells: one function a noun, each a list of flat dicts. Names and units are the contract.

Counters are the workers' sums, read as they are at that moment.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any, Protocol

from swlb._worker import drop_reasons
from swlb.addresses import endpoint_text, mac_text, unpacked
from swlb.balancer import Balancer
from swlb.build import Built, host_port_name
from swlb.clock import Clock
from swlb.config import Config
from swlb.config.values import ANY_PORT, PortRange
from swlb.events import Events
from swlb.health_row import health_row, rounded
from swlb.ports import Ports
from swlb.servers import ServerState

Row = dict[str, Any]
PROTOCOL_NAMES = {6: "tcp", 17: "udp"}
SUMMED = (
    "sessions_active",
    "sessions_inactive",
    "sessions_total",
    "packets_in",
    "packets_out",
    "bytes_in",
    "bytes_out",
)


class Running(Protocol):
    """What the figures are taken from."""

    config: Config
    built: Built
    balancer: Balancer
    ports: Ports
    events: Events
    clock: Clock


def services(run: Running) -> list[Row]:
    """One row a service; its figures are the sum of its servers'."""
    return [
        {
            "service": service.name,
            "vip": str(service.vips[0]) if len(service.vips) == 1 else [str(vip) for vip in service.vips],
            "port": _l4_ports(service.l4_ports),
            "protocol": service.protocol,
            "forward": service.forward,
            "source_nat": service.source_nat,
            "scheduler": service.scheduler,
            "fail_open": run.balancer.ignores_health(service.name),
            **_summed([run.built.workers.server(run.built.servers[service.name, name]) for name in service.servers]),
        }
        for service in run.config.services.values()
    ]


def servers(run: Running) -> list[Row]:
    """One row a server of a service."""
    rows = []
    for (service, name), state in run.balancer.servers.items():
        status = run.balancer.status((service, name))
        rows.append(
            {
                "service": service,
                "server": name,
                "address": str(state.config.address),
                "port": state.config.port,
                "weight": state.weight,
                "effective_weight": state.effective_weight,
                "admin": state.admin,
                "effective_admin": state.effective_admin,
                "agent": str(state.agent) if state.agent else None,
                "operational": state.operational,
                "reason": state.reason,
                "since_s": round(run.clock.now() - state.since, 3),
                "held_s": None if state.held_until is None else round(max(0.0, state.held_until - run.clock.now()), 3),
                "check_status": status.check_status if status else None,
                "check_duration_ms": rounded(status.check_duration_ms) if status else None,
                **run.built.workers.server(state.index),
            }
        )
    return rows


def sessions(run: Running) -> list[Row]:
    """One row a session."""
    return [row for rows in session_slices(run) for row in rows]


def session_slices(run: Running) -> Iterator[list[Row]]:
    """The same, in lists of which each takes a few milliseconds: there may be a million."""
    states = {state.index: state for state in run.balancer.servers.values()}
    for rows in run.built.workers.session_slices():
        # The others are of probes through VIPs, with the doubles of servers.
        yield [_session(row, states[row[4]]) for row in rows if row[4] in states]
    yield [_flow(row) for row in run.built.workers.flows()]


def _session(row: tuple[Any, ...], server: ServerState) -> Row:
    protocol, client, client_port, vip_port, _, server_port, state, age, idle, left, *figures, source, source_port = row
    address = unpacked(client)
    vip = next(vip for vip in server.service.vips if vip.version == address.version)
    return {
        "protocol": PROTOCOL_NAMES[protocol],
        "client": endpoint_text(address, client_port),
        "vip": endpoint_text(vip, vip_port),
        "server": endpoint_text(server.config.address, server_port),
        "service": server.service.name,
        "state": state,
        "age_s": age / 1000,
        "idle_s": idle / 1000,
        "expires_s": left / 1000,
        "forward": server.service.forward,
        "source_nat": endpoint_text(unpacked(source), source_port) if source else None,
        **dict(zip(SUMMED[3:], figures, strict=True)),
    }


def _flow(row: tuple[Any, ...]) -> Row:
    """What a host of a segment that masquerades began, or others began with it: no service's."""
    protocol, host, host_port, peer, peer_port, state, age, idle, left, *figures, source, source_port = row
    ends = [endpoint_text(unpacked(host), host_port), endpoint_text(unpacked(peer), peer_port)]
    client, server = ends if source else reversed(ends)
    return {
        "protocol": PROTOCOL_NAMES.get(protocol, "icmp"),
        "client": client,
        "vip": None,
        "server": server,
        "service": None,
        "state": state,
        "age_s": age / 1000,
        "idle_s": idle / 1000,
        "expires_s": left / 1000,
        "forward": "masquerade" if source else "route",
        "source_nat": endpoint_text(unpacked(source), source_port) if source else None,
        **dict(zip(SUMMED[3:], figures, strict=True)),
    }


def fdb(run: Running) -> list[Row]:
    """One row a station known on a segment; swlb's own MAC is static."""
    port_names = {index: name for name, index in run.built.ports.items()}
    rows = []
    for segment in run.config.segments.values():
        if segment.addresses:
            own = {"mac": mac_text(run.built.macs[segment.name]), "vlan": 0, "port": host_port_name(segment.name)}
            rows.append({"segment": segment.name, **own, "age_s": 0.0, "static": True})
        for mac, vlan, port, age_ms in run.built.workers.fdb(run.built.segments[segment.name]):
            found = {"mac": mac_text(mac), "vlan": vlan, "port": port_names[port]}
            rows.append({"segment": segment.name, **found, "age_s": age_ms / 1000, "static": False})
    return rows


def neighbours(run: Running) -> list[Row]:
    """One row a next hop that swlb has asked for or heard of."""
    segment_names = {index: name for name, index in run.built.segments.items()}
    return [
        {
            "segment": segment_names[segment],
            "address": str(unpacked(ip)),
            "mac": mac_text(mac) if any(mac) else None,
            "state": state,
            "age_s": age_ms / 1000,
        }
        for segment, ip, mac, state, age_ms in run.built.workers.neighbours()
    ]


def ports(run: Running) -> list[Row]:
    """One row a port, kernel twins included."""
    rows = []
    for name, port in run.ports.opened.items():
        figures = run.built.workers.port(run.built.ports[name])
        state = "lost" if figures.pop("lost") else "up" if figures["up"] else "down"
        del figures["up"]
        mtu = figures.pop("mtu")
        about = {"port": name, "kind": port.kind, "device": port.state.device, "state": state, "io": figures.pop("io")}
        where = {"netns": port.device.netns, "offloads": list(port.device.offloads)}
        rows.append({**about, "mtu": mtu, **where, **figures})
    return rows


def drops(run: Running) -> list[Row]:
    """One row a reason, those that never happened included."""
    return [
        {"reason": reason, "frames": frames, "meaning": meaning}
        for (reason, meaning), frames in zip(drop_reasons(), run.built.workers.drops(), strict=True)
    ]


def events(run: Running) -> list[Row]:
    """What has happened, oldest first."""
    return run.events.rows()


def health(run: Running) -> list[Row]:
    """One row a check of a server: what its last probes said and what happens next."""
    now = run.clock.now()
    return [
        health_row(state, number, status, now)
        for key, state in run.balancer.servers.items()
        for number, status in run.balancer.statuses(key).items()
    ]


def timeouts(run: Running) -> list[Row]:
    """One row an idle time of the configuration, in seconds."""
    return [{"name": name, "seconds": seconds} for name, seconds in asdict(run.config.timeouts).items()]


NOUNS: dict[str, Callable[[Running], list[Row]]] = {
    "services": services,
    "servers": servers,
    "sessions": sessions,
    "fdb": fdb,
    "neighbours": neighbours,
    "ports": ports,
    "drops": drops,
    "events": events,
    "health": health,
    "timeouts": timeouts,
}


def slices(run: Running, noun: str) -> Iterable[list[Row]]:
    """The rows of the noun, in lists between which other work may be done; KeyError for an unknown noun."""
    return session_slices(run) if noun == "sessions" else [NOUNS[noun](run)]


def _l4_ports(ports: PortRange) -> int | str:
    """80, "8000-8099" or "any", as in the configuration."""
    if ports == ANY_PORT:
        return "any"
    return ports.first if ports.first == ports.last else f"{ports.first}-{ports.last}"


def _summed(figures: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(row[name] for row in figures) for name in SUMMED}

