"""When health is ignored: too few of a service's servers are up for the checks to be believed. No I/O, no clock.

If all servers fail at once it is more likely that the checks are wrong, or that servers in a bad way are better than
none, than that nobody should be served. `fail_open: N%` of a service says when that is so: fewer than that share of
the servers that are ready and weigh something is up.

A server of which nothing is known yet is no reason to begin, and none to end. Backups do not count, and health is
believed as long as one of them can take sessions: that is what they are for.
"""

from collections.abc import Collection

from swlb.health import UNPROBED
from swlb.servers import READY, UP, ServerState


def ignores_health(share: float, servers: Collection[ServerState], *, did: bool) -> bool:
    """Whether health is ignored now; `did`: whether it was until now."""
    if not share or any(_can_stand_in(server, did=did) for server in servers):
        return False
    counted = _counted(servers)
    up = sum(server.operational == UP for server in counted)
    unknown = 0 if did else sum(_is_unknown(server) for server in counted)
    # In whole percent, as it is configured: 7 of 100 are not fewer than 7 %, whatever floats make of it.
    return (up + unknown) * 100 < round(share * 100) * len(counted)


def begun(service: str, share: float, servers: Collection[ServerState]) -> str:
    """The event of the moment from which on health is ignored, in words."""
    all_of_them = f"all {len(_counted(servers))} take sessions"
    return f"service {service}: {_up(servers)}, less than {share:.0%}: health is ignored, {all_of_them}"


def ended(service: str, servers: Collection[ServerState]) -> str:
    """The same of the moment at which it counts again."""
    return f"service {service}: {_up(servers)}: health counts again"


def _up(servers: Collection[ServerState]) -> str:
    """1 of 4 servers is up."""
    counted = _counted(servers)
    up = sum(server.operational == UP for server in counted)
    return f"{up} of {len(counted)} server{'' if len(counted) == 1 else 's'} {'is' if up == 1 else 'are'} up"


def _counted(servers: Collection[ServerState]) -> list[ServerState]:
    return [server for server in servers if _is_wanted(server) and not server.config.backup]


def _is_wanted(server: ServerState) -> bool:
    return server.effective_admin == READY and server.wanted_weight > 0


def _is_unknown(server: ServerState) -> bool:
    return server.operational != UP and server.reason == UNPROBED


def _can_stand_in(server: ServerState, *, did: bool) -> bool:
    """Whether it is a backup that takes sessions, or may turn out to."""
    healthy = server.operational == UP or (not did and _is_unknown(server))
    return server.config.backup and healthy and _is_wanted(server)
