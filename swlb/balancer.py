"""Services and servers while swlb runs: what checks and operators say goes to the workers, to events and to the log."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from swlb import fail_open
from swlb import servers as words
from swlb.addresses import Address
from swlb.build import Built
from swlb.bypass import notice
from swlb.check_status import CheckStatus
from swlb.checks import CheckKey, Checks
from swlb.clock import Clock
from swlb.config import Config, Service
from swlb.errors import look_up
from swlb.events import Events
from swlb.health import Transition
from swlb.paths import Paths, Towards
from swlb.probes import Outcome, Probe, Way, probe_of
from swlb.reform import Reform
from swlb.server_events import AGENT, OPERATOR, Change, ServerEvents
from swlb.servers import Key, ServerState, Standing, read_order
from swlb.service_state import ServiceState, tell_service
from swlb.slow_starts import SlowStarts
from swlb.succession import ByIndex, Departed, Informed, by_index, staying
from swlb.traffic import Traffic
from swlb.why import Known, why

BYPASS_GAP_S = 60.0  # a client asks again and again
RELOAD = "reload"  # the cause of what a change of the configuration has brought about


class Balancer:
    """The servers' states. Everything happens in the event loop's thread."""

    def __init__(
        self,
        config: Config,
        built: Built,
        ways: Mapping[Towards, Way],
        clock: Clock,
        events: Events,
        *,
        probe_of: Callable[[str], Probe] = probe_of,
    ) -> None:
        """`ways` of probes, by segment and IP version."""
        self.config = config
        self.built = built
        self.events = events
        self.servers: dict[Key, ServerState] = {}
        self._clock = clock
        self._paths = Paths(config, built, ways)
        self._bypass_told: dict[Key, float] = {}
        self._tell = ServerEvents(events)
        self._checks = Checks(
            clock, on_transition=self._on_transition, on_probe=self._on_probe, probe_of=probe_of
        )
        for service in config.services.values():
            for server in service.servers.values():
                key = (service.name, server.name)
                self.servers[key] = ServerState.begun(service, server, built.servers[key], clock.now())
        self.by_index: ByIndex = {state.index: state for state in self.servers.values()}
        self._slow_starts = SlowStarts(clock, on_share=self._tell_workers)
        self._service_is = {service.name: self._service_state(service) for service in config.services.values()}
        self.traffic = Traffic(self, built.workers.server, clock)

    def start(self) -> None:
        """Every server that has checks is probed."""
        checked = [(state, number) for state in self.servers.values() for number in range(len(state.service.checks))]
        for position, (state, number) in enumerate(checked):
            self._start_check(state, number, position=(position, len(checked)))

    async def stop(self) -> None:
        """Nothing is probed, every probe's socket is closed, and no share grows."""
        await self._checks.stop_all()
        await self._slow_starts.stop_all()

    def reconfigure(self, config: Config, built: Built, ways: Mapping[Towards, Way], informed: Informed) -> list[str]:
        """Everything is as the configuration says, now that the workers are; what that meant for services, in words.

        Servers that stay are what they were, and checks that have not changed do not notice. `informed` is what the
        workers know.
        """
        self._paths.follow(config, built, ways)
        departed: ByIndex = {state.index: Departed(state.service, state.config) for state in self.servers.values()}
        for key in self.servers.keys() - staying(self.servers, config).keys():
            self._slow_starts.end(self.servers[key])
        reform = Reform(self.servers, self._checks, self._paths, self._start_check, self._clock.now())
        self.config, self.built, self.servers = config, built, reform.servers(config, built)
        self.by_index = by_index(self.servers, self.by_index | departed, built)
        self.traffic.follow()
        # Those whose state has changed are followed when it is told.
        self._slow_starts.reform(state for key, state in self.servers.items() if state.operational == reform.was[key])
        # A worker takes its time to be told, and most is as it was.
        self._tell_all(state for state in self.servers.values() if state.for_workers != informed.get(state.index))
        return self._follow(reform.was)

    def _follow(self, was: Mapping[Key, str]) -> list[str]:
        """What has changed of servers, which were what `was` says, and of services is told; the latter in words."""
        meant: list[str] = []
        before, services = self._service_is, self.config.services.values()
        self._service_is = {of.name: before.get(of.name) or self._service_state(of) for of in services}
        for key, state in self.servers.items():
            if state.operational != was[key]:
                self.tell_change(state, Change(was[key], RELOAD))
            elif state.held_until is not None:
                self.traffic.spare_the_last(state)
        for service in services:
            self._tell_service(service, [], meant.append)
        return list(filter(None, meant))

    def status(self, key: Key) -> CheckStatus | None:
        """What the server's check says, of several the one that decides; None when it has none or is in maintenance."""
        return self.statuses(key).get(self.servers[key].decider)

    def statuses(self, key: Key) -> dict[int, CheckStatus]:
        """What each check of the server says, by its number; none in maintenance."""
        numbers = range(len(self.servers[key].service.checks))
        return {number: self._checks.status((*key, number)) for number in numbers if (*key, number) in self._checks}

    def why(self, name: str) -> dict[str, Any]:
        """Why SERVICE/SERVER takes new sessions now, or none; SwlbError for an unknown one."""
        state = self._find(name)
        servers = self._servers_of(state.service)
        figures = {other.config.name: self.built.workers.server(other.index) for other in servers}
        return why(Known(state, self.statuses(state.key), self._clock.now(), servers, figures))

    def ignores_health(self, service: str) -> bool:
        """Whether the service's `fail_open` is at work."""
        return self._service_is[service].ignores_health

    def order(self, name: str, order: str) -> str:
        """The order ("drain", "weight=3" ...) is carried out on SERVICE/SERVER; a sentence that says so.

        Raises SwlbError for an unknown server, ValueError for words that are no order.
        """
        state = self._find(name)
        admin, weight = read_order(order, state.config.weight)
        if weight is not None:
            before = state.weight
            if weight != before:
                self._set_weight(state, weight)
            return f"server {name}: weight {weight} (was {before})"
        assert admin is not None
        before_admin = state.admin
        if admin != before_admin:
            self._set_admin(state, admin)
        return f"server {name}: {admin} (was {before_admin})"

    def _find(self, name: str) -> ServerState:
        return look_up("server", name, {"/".join(key): state for key, state in self.servers.items()})

    def _start_check(
        self, state: ServerState, number: int, *, position: tuple[int, int], initial: str | None = None
    ) -> None:
        check = state.service.checks[number]
        target, way = self._paths.of(state.service, state.config, check)
        self._checks.start((*state.key, number), check, target, way, initial=initial, position=position)
        self._learn(state, number)

    def _learn(self, state: ServerState, number: int) -> None:
        """The server knows what its check knew when it was started: a shared one may know everything."""
        status = self._checks.status((*state.key, number))
        state.standings[number] = Standing(status.operational, status.reason)
        for past in status.history[-1:]:
            state.hear(number, past.outcome, past.at)

    def hear_of_bypass(self, index: int, client: Address) -> None:
        """A client of the server of that index asked again and was never answered: told where the server counts as up.

        Of one server at most once in BYPASS_GAP_S. Where servers answer clients themselves nothing else is expected.
        """
        state = self.by_index.get(index)
        if not isinstance(state, ServerState):
            return  # it has left meanwhile
        now = self._clock.now()
        told = self._bypass_told.get(state.key)
        if state.service.is_direct or not state.serves or (told is not None and now - told < BYPASS_GAP_S):
            return
        self._bypass_told[state.key] = now
        text = notice(state.service, state.config, client)
        self.events.add("reply_bypasses", text, service=state.key[0], server=state.key[1], client=str(client))

    def probe_by(self, key: CheckKey, moment: float) -> None:
        """The next probe by that check begins by that moment."""
        self._checks.probe_by(key, moment)

    def tell_change(self, state: ServerState, change: Change) -> None:
        """The server's operational state has changed: the workers know it, and it is told."""
        status, figures = self.status(state.key), self.built.workers.server(state.index)
        self._publish(state, lambda meant: self._tell.transition(state, change, status, figures, meant))

    def _set_admin(self, state: ServerState, admin: str) -> None:
        """The operator's will is done. Maintenance ends probes; leaving it starts them afresh."""
        before, state.admin = state.admin, admin
        numbers = range(len(state.service.checks))
        if admin == words.MAINT:
            self.traffic.forgive(state)
            for number in numbers:
                self._checks.stop((*state.key, number))
        elif before == words.MAINT and numbers:
            state.forget(self._clock.now())
            for number in numbers:
                self._start_check(state, number, position=(number, len(numbers)), initial=words.CHECKING)
        self._tell_admin(state, before, new=admin, by=OPERATOR)
        if before == words.MAINT and numbers:
            self._settle(state, 0, "a check that others share")

    def _tell_admin(self, state: ServerState, before: str, *, new: str, by: str) -> None:
        figures = self.built.workers.server(state.index)
        self._publish(
            state, lambda meant: self._tell.admin(state, before, new=new, by=by, figures=figures, meant=meant)
        )

    def _set_weight(self, state: ServerState, weight: int) -> None:
        before, state.weight = state.weight, weight
        self._publish(state, lambda meant: self._tell.weight(state, before, by=OPERATOR, meant=meant))

    def _on_probe(self, key: CheckKey, outcome: Outcome) -> None:
        """What an agent said is done; a probe that says nothing of the server may leave the others to decide."""
        state, number = self.servers[key[:2]], key[2]
        before, weight, limit = state.agent_admin, state.wanted_weight, state.max_connections
        state.hear(number, outcome, self._clock.now())
        if state.agent_admin != before:
            self._tell_admin(state, before, new=state.agent_admin, by=AGENT)
        if state.wanted_weight != weight:
            self._publish(state, lambda meant: self._tell.weight(state, weight, by=AGENT, meant=meant))
        if state.max_connections != limit:
            self._publish(state, lambda meant: self._tell.limit(state, limit, meant=meant))
        if outcome.ok is None:
            self._settle(state, number, "its agent")
        elif state.is_confirmed_down(number, outcome):
            # No change of the server, and no event; but fail_open may have waited for it to be known.
            state.standings[number] = Standing(words.DOWN, outcome.status)
            state.combine(number, self._clock.now())
            self._publish(state, lambda _: None)
        self.traffic.hear_of_probe(key, outcome)

    def _on_transition(self, key: CheckKey, transition: Transition) -> None:
        state, number = self.servers[key[:2]], key[2]
        state.standings[number] = Standing(transition.new, transition.reason)
        self._settle(state, number, transition.cause, transition.held_s)

    def _settle(self, state: ServerState, number: int, cause: str, held_s: float = 0.0) -> None:
        """The server is what its checks say together, the one of that number last; a change is told with its cause."""
        change = Change(state.operational, cause, held_s)
        if state.combine(number, self._clock.now()):
            self.tell_change(state, change)

    def _publish(self, state: ServerState, tell: Callable[[str], None]) -> None:
        """The workers know the server's state; `tell` says what happened, and what it meant for the service follows.

        A service that serves as before, but no longer takes new sessions or does again, is told with the server's
        own event: `tell` is given the words. One that begins or ends to serve, or to ignore health, has an event of
        its own.
        """
        # First of all, so that the service does not end in between.
        self.traffic.spare_the_last(state)
        self._tell_service(state.service, [state], tell)

    def _tell_service(self, service: Service, changed: list[ServerState], tell: Callable[[str], None]) -> None:
        """The same, of a service some of whose servers have changed."""
        before = self._service_is[service.name]
        now = self._service_is[service.name] = self._decide_fail_open(service, changed, before)
        gone_on = now.serves and before.serves and now.takes != before.takes
        what = "takes new sessions again" if now.takes else "takes no new sessions"
        tell(f"; service {service.name} {what}" if gone_on else "")
        tell_service(self.events, service, self._servers_of(service), before, now)

    def _decide_fail_open(self, service: Service, changed: list[ServerState], before: ServiceState) -> ServiceState:
        """The service's state now that some servers' have changed; the workers know all of it.

        They are told once all is decided, and first of servers that serve: no session ever sees its server down, or
        nobody to take it, for a state that is already past.
        """
        servers = self._servers_of(service)
        ignored = fail_open.ignores_health(service.fail_open, servers, did=before.ignores_health)
        told = [*changed, *(server for server in servers if server.health_ignored != ignored)]
        for server in servers:
            server.health_ignored = ignored
        for server in told:
            self._slow_starts.follow(server)
        self._tell_all(told)
        return self._service_state(service)

    def _service_state(self, service: Service) -> ServiceState:
        return ServiceState.of(self._servers_of(service))

    def _tell_all(self, servers: Iterable[ServerState]) -> None:
        for server in sorted(servers, key=lambda server: not server.serves):
            self._tell_workers(server)

    def _tell_workers(self, state: ServerState) -> None:
        self.built.workers.set_server(state.index, **state.for_workers)

    def _servers_of(self, service: Service) -> list[ServerState]:
        return [self.servers[service.name, name] for name in service.servers]
