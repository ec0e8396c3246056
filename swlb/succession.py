"""A server that stays while the configuration changes: which of its checks go on, and what it counts as until the
others have decided. No I/O, no clock.

A check that is another one, or new, begins as what is known without it, so that nothing changes because it was asked
for: as the check that it replaces stood, and where it replaces none, so that the server stays what it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from swlb.build import Built
from swlb.combined import NO_WORD, combined
from swlb.config import Check, Config, Server, Service
from swlb.health import DOWN, UNPROBED, UP
from swlb.indices import host_and_port
from swlb.servers import Key, ServerState, Standing, initial_state

Numbers = Mapping[int, int]  # of a service's checks: before, by their numbers now


class Departed(NamedTuple):
    """A server that left the configuration, and whose sessions go on to their end."""

    service: Service
    config: Server


ByIndex = dict[int, ServerState | Departed]
Informed = dict[int, dict[str, int]]  # what workers were told of servers, by index, as the words of their set_server


def by_index(servers: Mapping[Key, ServerState], before: ByIndex, built: Built) -> ByIndex:
    """Whom the workers' sessions are with, the doubles of probes apart: who has the index now, or who had it last."""
    doubles = set(built.doubles.values())
    now = {state.index: state for state in servers.values()}
    return {index: server for index, server in (before | now).items() if index not in doubles}


def staying(servers: Mapping[Key, ServerState], config: Config) -> dict[Key, ServerState]:
    """Those of the servers that the configuration has, too."""
    there = {
        (service.name, server.name): (service, server)
        for service in config.services.values()
        for server in service.servers.values()
    }
    return {key: state for key, state in servers.items() if key in there and stays(state, *there[key])}


def up_at_start(config: Config) -> dict[Key, bool]:
    """Whether each server serves before its first probe: yes without a check, else as `initial` says."""
    return {
        (service.name, server.name): initial_state(service) == UP
        for service in config.services.values()
        for server in service.servers.values()
    }


def up_in(servers: Mapping[Key, ServerState], config: Config) -> dict[Key, bool]:
    """The same of a configuration that is to follow: servers that stay serve as they do now."""
    return up_at_start(config) | {key: state.counts_as_up for key, state in staying(servers, config).items()}


def inform(image: Built, servers: Mapping[Key, ServerState], config: Config) -> Informed:
    """What the image's workers know now: the present state of all servers that stay."""
    informed: Informed = {}
    for key, state in staying(servers, config).items():
        informed[image.servers[key]] = state.for_workers
        image.workers.set_server(image.servers[key], **state.for_workers)
    return informed


def stays(state: ServerState, service: Service, server: Server) -> bool:
    """Whether what is known of the server is true of the one that has its name now: they are one host and port.

    Its sessions may leave all the same, as with a service of another VIP: indices.py says whose stay.
    """
    same_protocol = state.service.protocol == service.protocol
    return same_protocol and host_and_port(state.config) == host_and_port(server)


def succeed(
    state: ServerState, service: Service, server: Server, index: int, *, going_on: Numbers, now: float
) -> None:
    """The server has its new configuration and index. What the operator has ordered stays, unless the file says anew.

    Of its checks those of `going_on` go on.
    """
    before, was = state.service, state.config
    standings = _standings(state, service, going_on)
    decider = next((after for after, then in going_on.items() if then == state.decider), 0)
    state.service, state.config, state.index = service, server, index
    state.standings, state.decider = standings, decider
    if server.weight != was.weight:
        state.weight = server.weight
    if not any(check.type == "agent" for check in service.checks):
        state.agent = None
    if standings:
        state.combine(decider, now)
    elif before.checks and state.held_until is None:
        state.release(now)


def _standings(state: ServerState, service: Service, going_on: Numbers) -> list[Standing]:
    """How each check of the service stands."""
    left = [number for number in range(len(state.standings)) if number not in going_on.values()]
    standings = []
    for number, check in enumerate(service.checks):
        if number in going_on:
            standings.append(state.standings[going_on[number]])
            continue
        replaced = _replaced(check, state.service, left)
        known = NO_WORD if replaced is None else state.standings[replaced].state
        standings.append(Standing(_believed(state, service) if known == NO_WORD else known, UNPROBED))
        if replaced is not None:
            left.remove(replaced)
    return standings


def _replaced(check: Check, before: Service, left: list[int]) -> int | None:
    """The one of those left that the check is most likely to stand for: of its name, of its type, or just one of them.

    None where there is none left.
    """
    likeness = {n: (before.checks[n].name == check.name, before.checks[n].type == check.type) for n in left}
    return max(left, key=lambda number: likeness[number], default=None)


def _believed(state: ServerState, service: Service) -> str:
    """What another check of the server is to say so that the server stays what it is, for as long as possible."""
    if not state.standings:
        return UP
    known = combined(state.service.need, [standing.state for standing in state.standings]).operational
    # The others keep it down as long as they say so; it is not to wait for the new one then.
    return UP if known == DOWN and service.need == "all" else known
