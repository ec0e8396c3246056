"""Which servers come before another, where not all that can take sessions are given some: backups, fo, overflow.

No I/O, no clock. The workers choose; this says in words what they go by. `figures` are what they count, by the servers'
names.
"""

from collections.abc import Mapping, Sequence

from swlb.backups import clients_of, takers_of
from swlb.config.source import counted
from swlb.servers import ServerState

Figures = Mapping[str, Mapping[str, int]]


def before_backup(state: ServerState, servers: Sequence[ServerState], figures: Figures) -> list[str]:
    """The servers that take sessions now, for which it rests as a backup."""
    return [server.config.name for server in _takers(state, servers, figures, backup=False) if state.config.backup]


def before_by_weight(state: ServerState, servers: Sequence[ServerState], figures: Figures) -> str:
    """Why its scheduler gives it no session now, though it could take some; "" where that is not so."""
    scheduler = state.service.scheduler
    takers = _takers(state, servers, figures, backup=state.config.backup)
    if scheduler not in ("fo", "overflow") or state not in takers:
        return ""
    if scheduler == "overflow":
        if not _has_room(state, figures):
            active = counted(_active(state, figures), "active session")
            return f"it has {active}, more than its weight of {state.effective_weight} (scheduler overflow)"
        takers = [server for server in takers if _has_room(server, figures)]
    first = max(takers, key=_heaviness)
    if first is state:
        return ""
    more = "weighs more" if _heaviness(first) > _heaviness(state) else "weighs as much and stands before it"
    room = " and has room" if scheduler == "overflow" else ""
    return f"{first.config.name} {more}{room} (scheduler {scheduler})"


def _takers(
    state: ServerState, servers: Sequence[ServerState], figures: Figures, *, backup: bool
) -> list[ServerState]:
    """The servers that its clients may be given now, those that are backups or the others."""
    takers = takers_of(servers).get(clients_of(state), [])
    return [
        server for server in takers if server.config.backup == backup and not figures[server.config.name]["full"]
    ]


def _active(state: ServerState, figures: Figures) -> int:
    """UDP has no state in which a session waits: all of them count."""
    counts = figures[state.config.name]
    return counts["sessions_active"] + (counts["sessions_inactive"] if state.service.protocol == "udp" else 0)


def _has_room(state: ServerState, figures: Figures) -> bool:
    return _active(state, figures) <= state.effective_weight


def _heaviness(state: ServerState) -> int:
    return state.wanted_weight * state.share
