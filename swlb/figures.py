"""What `swlb show` tells: one function a noun, each a list of flat dicts. Names and units are the contract.

Counters are the workers' sums, read as they are at that moment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from swlb._worker import drop_reasons
from swlb.addresses import V4_MAPPED, Address, mac_text, raw_endpoint_text, unpacked
from swlb.balancer import Balancer
from swlb.build import Built
from swlb.build_ports import host_port_name
from swlb.clock import Clock
from swlb.config import Config
from swlb.config.values import ANY_PORT, PortRange
from swlb.decisions import PROTOCOL_NAMES, decision_rows
from swlb.events import Events
from swlb.health_row import health_row, rounded
from swlb.idle_times import timeout_rows
from swlb.persistence_row import persistence, persistence_slices
from swlb.port_rows import port_rows
from swlb.ports import Ports
from swlb.servers import ServerState
from swlb.session_filter import OF_OTHERS, SessionFilter, read_filter
from swlb.succession import Departed

Row = dict[str, Any]
ALL = SessionFilter()
COUNTED = ("packets_in", "packets_out", "bytes_in", "bytes_out")
SUMMED = (
    "sessions_active",
    "sessions_inactive",
    "sessions_open",
    "sessions_total",
    *COUNTED,
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
            **run.built.workers.service(run.built.services[service.name]),
            **_summed([run.built.workers.server(run.built.servers[service.name, name]) for name in service.servers]),
        }
        for service in run.config.services.values()
    ]


def servers(run: Running) -> list[Row]:
    """One row a server of a service."""
    rows = []
    for (service, name), state in run.balancer.servers.items():
        status = run.balancer.status((service, name))
        figures = run.built.workers.server(state.index)
        rows.append(
            {
                "service": service,
                "server": name,
                "address": str(state.config.address),
                "port": state.config.port,
                "weight": state.weight,
                "effective_weight": state.effective_weight,
                "backup": state.config.backup,
                "max_connections": state.max_connections.upper if state.max_connections else None,
                "admin": state.admin,
                "effective_admin": state.effective_admin,
                "agent": str(state.agent) if state.agent else None,
                "operational": state.operational,
                "reason": state.reason,
                "since_s": round(run.clock.now() - state.since, 3),
                "held_s": None if state.held_until is None else round(max(0.0, state.held_until - run.clock.now()), 3),
                "slow_start_s": None if (left := state.slow_for(run.clock.now())) is None else round(left, 3),
                "check_status": status.check_status if status else None,
                "check_duration_ms": rounded(status.check_duration_ms) if status else None,
                **figures,
                "full": bool(figures["full"]),
            }
        )
    return rows


def sessions(run: Running) -> list[Row]:
    """One row a session."""
    return [row for rows in session_slices(run) for row in rows]


def session_slices(run: Running, wanted: SessionFilter = ALL) -> Iterator[list[Row]]:
    """Those that are wanted, in lists of which each takes a few milliseconds: there may be a million.

    SwlbError for a service or server that is not there.
    """
    return wanted.cut(_all_slices(run, wanted.in_indices(run.built)))


def _all_slices(run: Running, chosen: dict[str, Any]) -> Iterator[list[Row]]:
    states: Mapping[int, ServerState | Departed] = {}
    for rows in run.built.workers.session_slices(**chosen):
        if states is not run.balancer.by_index:
            states = run.balancer.by_index
            served = {index: _Served(state) for index, state in states.items()}
        # The others are of probes through VIPs, with the doubles of servers.
        yield [_session(row, served[row[4]]) for row in rows if row[4] in served]
    for rows in run.built.workers.flow_slices(**chosen):
        yield [_flow(row) for row in rows]


class _Served:
    """What all sessions with a server have alike, made once."""

    def __init__(self, state: ServerState | Departed) -> None:
        self.service = state.service.name
        self.forward = state.service.forward
        self.address = _before_port(state.config.address)
        self.vips = {vip.version: _before_port(vip) for vip in state.service.vips}


def _session(row: tuple[Any, ...], served: _Served) -> Row:
    protocol, client, client_port, vip_port, _, server_port, state, age, idle, left, *figures, source, source_port = row
    return {
        "protocol": PROTOCOL_NAMES[protocol],
        "client": raw_endpoint_text(client, client_port),
        "vip": f"{served.vips[4 if client.startswith(V4_MAPPED) else 6]}:{vip_port}",
        "server": f"{served.address}:{server_port}",
        "service": served.service,
        "state": state,
        "age_s": age / 1000,
        "idle_s": idle / 1000,
        "expires_s": left / 1000,
        "forward": served.forward,
        "source_nat": raw_endpoint_text(source, source_port) if source else None,
        **dict(zip(COUNTED, figures, strict=True)),
    }


def _flow(row: tuple[Any, ...]) -> Row:
    """What a host of a segment that masquerades began, or others began with it: no service's."""
    protocol, host, host_port, peer, peer_port, state, age, idle, left, *figures, source, source_port = row
    ends = [raw_endpoint_text(host, host_port), raw_endpoint_text(peer, peer_port)]
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
        "source_nat": raw_endpoint_text(source, source_port) if source else None,
        **dict(zip(COUNTED, figures, strict=True)),
    }


def _before_port(address: Address) -> str:
    """What stands before the colon and the port."""
    return str(address) if address.version == 4 else f"[{address}]"


def decisions(run: Running, **asked: str) -> list[Row]:
    """One row a new session that is asked for, oldest first: why it was given to its server."""
    wanted = read_filter(asked)
    wanted.in_indices(run.built)  # what is not there is refused
    return decision_rows(run.built.workers.decisions(), run.balancer.by_index, wanted)


def fdb(run: Running) -> list[Row]:
    """One row a station known on a segment; swlb's own MAC is static."""
    port_names = {index: name for name, index in run.built.ports.items()}
    rows = []
    for segment in run.config.segments.values():
        if segment.addresses:
            own = {"mac": mac_text(run.ports.mac(segment)), "vlan": 0, "port": host_port_name(segment.name)}
            rows.append({"segment": segment.name, **own, "age_s": 0.0, "static": True})
        for mac, vlan, port, age_ms in run.built.workers.fdb(run.built.segments[segment.name]):
            name = port_names[port]
            # On the wire that is what its frames are tagged with, whatever tag may be left behind that.
            vid = run.config.member(name).vid if name in segment.ports else 0
            found = {"mac": mac_text(mac), "vlan": vid or vlan, "port": name}
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
    return port_rows(run.config, run.ports.opened, run.built)


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
    """One row an idle time of the configuration."""
    return timeout_rows(run.config.timeouts)


NOUNS: dict[str, Callable[..., list[Row]]] = {
    "services": services,
    "servers": servers,
    "sessions": sessions,
    "decisions": decisions,
    "persistence": persistence,
    "fdb": fdb,
    "neighbours": neighbours,
    "ports": ports,
    "drops": drops,
    "events": events,
    "health": health,
    "timeouts": timeouts,
}


def slices(run: Running, noun: str, asked: Mapping[str, str]) -> Iterable[list[Row]]:
    """The rows of the noun, in lists between which other work may be done; KeyError for an unknown noun.

    `asked` says which sessions, decisions or clients (SessionFilter); ValueError for words that do not belong.
    """
    if noun == "sessions":
        return session_slices(run, read_filter(asked))
    if unknown := asked.keys() - set(OF_OTHERS if noun in ("decisions", "persistence") else ()):
        raise ValueError(f"{noun} are not chosen by {', '.join(sorted(unknown))}")
    return persistence_slices(run, read_filter(asked)) if noun == "persistence" else [NOUNS[noun](run, **asked)]


def total(run: Running, noun: str) -> int | None:
    """How many rows a noun has of which some may be asked for."""
    return run.built.workers.counters()["sessions_held"] if noun == "sessions" else None


def _l4_ports(ports: PortRange) -> int | str:
    """80, "8000-8099" or "any", as in the configuration."""
    if ports == ANY_PORT:
        return "any"
    return ports.first if ports.first == ports.last else f"{ports.first}-{ports.last}"


def _summed(figures: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(row[name] for row in figures) for name in SUMMED}

