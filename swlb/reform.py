"""Servers and checks as another configuration wants them, with as little done to them as possible.

What a server that stays counts as meanwhile is in succession.py.
"""

from collections.abc import Mapping
from typing import Protocol

from swlb.build import Built
from swlb.checks import CheckKey, Checks
from swlb.config import Config, Server, Service
from swlb.paths import Paths
from swlb.servers import MAINT, Key, ServerState, initial_state
from swlb.succession import Numbers, stays, succeed


class StartCheck(Protocol):
    """Starts the check of that number of a server, in state `initial`, and has the server learn what it knows."""

    def __call__(
        self, state: ServerState, number: int, *, position: tuple[int, int], initial: str | None
    ) -> None: ...


class Reform:
    """One change of the configuration. `was` has what each server counted as before it, a new one what it begins as."""

    def __init__(
        self, before: Mapping[Key, ServerState], checks: Checks, paths: Paths, start: StartCheck, now: float
    ) -> None:
        self.was: dict[Key, str] = {}
        self._before = before
        self._checks = checks
        self._paths = paths
        self._start = start
        self._now = now
        self._go_on: dict[CheckKey, CheckKey] = {}
        self._begin: list[tuple[ServerState, int, str | None]] = []

    def servers(self, config: Config, built: Built) -> dict[Key, ServerState]:
        """The servers of the configuration, those that stay among them; their checks run, and no others do."""
        after: dict[Key, ServerState] = {}
        for service in config.services.values():
            for server in service.servers.values():
                key = (service.name, server.name)
                after[key] = self._server(service, server, built.servers[key])
        with self._checks.going_on(self._go_on):
            for position, (state, number, initial) in enumerate(self._begin):
                self._start(state, number, position=(position, len(self._begin)), initial=initial)
        for state, number, _ in self._begin:
            state.combine(number, self._now)  # one that others share may know more
        return after

    def _server(self, service: Service, server: Server, index: int) -> ServerState:
        key = (service.name, server.name)
        state = self._before.get(key)
        numbers = range(len(service.checks))
        if state is None or not stays(state, service, server):
            self.was[key] = initial_state(service)
            state = ServerState.begun(service, server, index, self._now)
            self._begin += [(state, number, None) for number in numbers]
            return state
        self.was[key] = state.operational
        going_on = self._unchanged(state, service, server)
        succeed(state, service, server, index, going_on=going_on, now=self._now)
        self._go_on |= {(*key, then): (*key, now) for now, then in going_on.items()}
        if state.admin != MAINT:
            anew = [number for number in numbers if number not in going_on]
            self._begin += [(state, number, state.standings[number].state) for number in anew]
        return state

    def _unchanged(self, state: ServerState, service: Service, server: Server) -> Numbers:
        """Those of the service's checks of which the server has been asked the same all the time."""
        left = list(range(len(state.service.checks)))
        unchanged: dict[int, int] = {}
        for number, check in enumerate(service.checks):
            target, way = self._paths.of(service, server, check)
            then = next((then for then in left if self._checks.asks((*state.key, then), check, target, way)), None)
            if then is not None:
                unchanged[number] = then
                left.remove(then)
        return unchanged
