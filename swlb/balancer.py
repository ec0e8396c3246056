"""Services and servers while swlb runs: what checks and operators say goes to the workers, to events and to the log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from swlb import servers as words
from swlb.addresses import Address
from swlb.build import Built
from swlb.bypass import notice
from swlb.checks import Checks, CheckStatus, Key
from swlb.clock import Clock
from swlb.config import Config, Service
from swlb.errors import SwlbError
from swlb.events import Events
from swlb.health import Transition
from swlb.paths import Paths, Towards
from swlb.probes import Way
from swlb.servers import ServerState, read_order

NO_CHECK = "no check"
BYPASS_GAP_S = 60.0  # a client asks again and again


@dataclass(frozen=True)
class _ServiceState:
    """Whether a service serves anybody, and whether it takes new sessions."""

    serves: bool
    takes: bool


def up_at_start(config: Config) -> dict[Key, bool]:
    """Whether each server serves before its first probe: yes without a check, else as `initial` says."""
    return {
        (service.name, server.name): service.check is None or service.check.initial == words.UP
        for service in config.services.values()
        for server in service.servers.values()
    }


class Balancer:
    """The servers' states. Everything happens in the event loop's thread."""

    def __init__(self, config: Config, built: Built, ways: Mapping[Towards, Way], clock: Clock, events: Events) -> None:
        """`ways` of probes, by segment and IP version."""
        self.config = config
        self.built = built
        self.events = events
        self.servers: dict[Key, ServerState] = {}
        self._clock = clock
        self._paths = Paths(config, built, ways)
        self._bypass_told: dict[Key, float] = {}
        self._checks = Checks(clock, on_transition=self._on_transition, on_probe=lambda _key, _outcome: None)
        for service in config.services.values():
            for server in service.servers.values():
                self.servers[service.name, server.name] = ServerState(
                    service=service,
                    config=server,
                    index=built.servers[service.name, server.name],
                    weight=server.weight,
                    operational=words.UP if service.check is None else service.check.initial,
                    reason=NO_CHECK if service.check is None else "INI",
                    since=clock.now(),
                )
        self._service_is = {service.name: self._service_state(service) for service in config.services.values()}

    def start(self) -> None:
        """Every server that has a check is probed."""
        checked = [state for state in self.servers.values() if state.service.check is not None]
        for position, state in enumerate(checked):
            self._start_check(state, position=(position, len(checked)))

    async def stop(self) -> None:
        """Nothing is probed, and every probe's socket is closed."""
        await self._checks.stop_all()

    def status(self, key: Key) -> CheckStatus | None:
        """What the server's check says; None when it has none or is in maintenance."""
        try:
            return self._checks.status(key)
        except KeyError:
            return None

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
        service, _, server = name.partition("/")
        state = self.servers.get((service, server))
        if state is None:
            known = ", ".join("/".join(key) for key in list(self.servers)[:8]) or "none"
            raise SwlbError(f"no server {name!r}; there are: {known}")
        return state

    def _start_check(self, state: ServerState, *, position: tuple[int, int], initial: str | None = None) -> None:
        check = state.service.check
        assert check is not None
        target, way = self._paths.of(state.service, state.config, check)
        self._checks.start(state.key, check, target, way, initial=initial, position=position)

    def hear_of_bypass(self, index: int, client: Address) -> None:
        """A client of the server of that index asked again and was never answered: told where the server counts as up.

        Of one server at most once in BYPASS_GAP_S. Where servers answer clients themselves nothing else is expected.
        """
        state = next(state for state in self.servers.values() if state.index == index)
        now = self._clock.now()
        told = self._bypass_told.get(state.key)
        if state.service.is_direct or not state.serves or (told is not None and now - told < BYPASS_GAP_S):
            return
        self._bypass_told[state.key] = now
        text = notice(state.service, state.config, client)
        self.events.add("reply_bypasses", text, service=state.key[0], server=state.key[1], client=str(client))

    def _set_admin(self, state: ServerState, admin: str) -> None:
        """The operator's will is done. Maintenance ends probes; leaving it starts them afresh."""
        before, state.admin = state.admin, admin
        if state.service.check is not None and admin == words.MAINT:
            self._checks.stop(state.key)
        elif state.service.check is not None and before == words.MAINT:
            state.operational, state.reason = words.CHECKING, "INI"
            state.since = self._clock.now()
            self._start_check(state, position=(0, 1), initial=words.CHECKING)
        self._publish(
            state,
            lambda meant: self.events.add(
                "admin",
                f"server {'/'.join(state.key)} is {admin} (was {before}){meant}",
                service=state.key[0],
                server=state.key[1],
                old=before,
                new=admin,
            ),
        )

    def _set_weight(self, state: ServerState, weight: int) -> None:
        before, state.weight = state.weight, weight
        self._publish(state, lambda meant: self._weight_event(state, before, meant))

    def _on_transition(self, key: Key, transition: Transition) -> None:
        state = self.servers[key]
        state.operational = transition.new
        state.reason = transition.reason
        state.since = self._clock.now()
        self._publish(state, lambda meant: self._transition_event(state, transition, meant))

    def _transition_event(self, state: ServerState, transition: Transition, meant: str) -> None:
        status = self.status(state.key)
        figures = self.built.workers.server(state.index)
        sessions = figures["sessions_active"] + figures["sessions_inactive"]
        detail = f"{transition.reason}, {status.detail}" if status and status.detail else transition.reason
        text = f"server {'/'.join(state.key)} is {transition.new} (was {transition.old}): {detail}; {transition.cause}"
        if transition.new == words.DOWN:
            text += f"; it has {sessions} session{'' if sessions == 1 else 's'}"
        self.events.add(
            "server_up" if transition.new == words.UP else "server_down",
            text + meant,
            service=state.key[0],
            server=state.key[1],
            reason=transition.reason,
            cause=transition.cause,
            sessions=sessions,
        )

    def _weight_event(self, state: ServerState, before: int, meant: str) -> None:
        self.events.add(
            "weight",
            f"server {'/'.join(state.key)} weighs {state.weight} (was {before}){meant}",
            service=state.key[0],
            server=state.key[1],
            old=before,
            new=state.weight,
        )

    def _publish(self, state: ServerState, tell: Callable[[str], None]) -> None:
        """The workers know the server's state; `tell` says what happened, and what it meant for the service follows.

        A service that serves as before, but no longer takes new sessions or does again, is told with the server's
        own event: `tell` is given the words. One that begins or ends to serve has an event of its own.
        """
        self.built.workers.set_server(state.index, ready=state.ready_bits, weight=state.weight)
        service = state.service
        before = self._service_is[service.name]
        now = self._service_is[service.name] = self._service_state(service)
        gone_on = now.serves and before.serves and now.takes != before.takes
        what = "takes new sessions again" if now.takes else "takes no new sessions"
        tell(f"; service {service.name} {what}" if gone_on else "")
        if now.serves and not before.serves:
            how = "can serve" if now.takes else "can serve the sessions it has, and takes no new ones"
            self.events.add("service_up", f"service {service.name} {how}", service=service.name)
        elif before.serves and not now.serves:
            self.events.add("service_down", f"service {service.name} has no server left", service=service.name)

    def _service_state(self, service: Service) -> "_ServiceState":
        servers = [self.servers[service.name, name] for name in service.servers]
        takes = any(server.effective_weight for server in servers)
        return _ServiceState(any(server.serves for server in servers), takes)
