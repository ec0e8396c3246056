"""Backups: servers that take sessions only while no other server of their clients can. No I/O, no clock.

The workers decide for themselves, and know besides which servers are full; this is what is told of it.
"""

from collections.abc import Iterable, Mapping

from swlb.config import Service
from swlb.servers import ServerState

EITHER = 0  # the IP version of clients whose servers serve both
InUse = Mapping[int, tuple[str, ...]]  # names of backups, by the IP version of the clients


def backups_in_use(servers: Iterable[ServerState]) -> InUse:
    """The backups that take sessions, as no other server can; health that is ignored counts as good."""
    takers = takers_of(servers)
    return {
        version: tuple(server.config.name for server in group)
        for version, group in takers.items()
        if all(server.config.backup for server in group)
    }


def takers_of(servers: Iterable[ServerState]) -> dict[int, list[ServerState]]:
    """The servers that may take sessions, backups and others, by the IP version of the clients; only where any may."""
    takers: dict[int, list[ServerState]] = {}
    for server in servers:
        if server.effective_weight:
            takers.setdefault(clients_of(server), []).append(server)
    return takers


def clients_of(server: ServerState) -> int:
    """The IP version of the clients it may serve, or EITHER."""
    return EITHER if server.service.is_tunnel else server.config.address.version


def backups_begun(service: Service, version: int, names: tuple[str, ...]) -> str:
    """The event of the moment from which on backups take sessions, in words."""
    do = f"{_named(names)} {'does' if len(names) == 1 else 'do'}"
    return f"service {service.name}: no other server can take {_sessions(service, version)}: {do}"


def backups_over(service: Service, version: int, names: tuple[str, ...], others: tuple[str, ...]) -> str:
    """The same of the moment from which on they take none; `others` are the servers that do instead, if any."""
    if not others:
        return f"service {service.name}: {_named(names)} can take no {_sessions(service, version)} any more"
    take = f"{_listed(others)} {'takes' if len(others) == 1 else 'take'} {_sessions(service, version)} again"
    return f"service {service.name}: {take}: {_named(names)} {'rests' if len(names) == 1 else 'rest'}"


def _named(names: tuple[str, ...]) -> str:
    return f"its backup{'' if len(names) == 1 else 's'} {_listed(names)}"


def _sessions(service: Service, version: int) -> str:
    return f"sessions over IPv{version}" if len(service.vips) > 1 and version != EITHER else "sessions"


def _listed(names: tuple[str, ...]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
