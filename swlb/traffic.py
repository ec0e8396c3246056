"""Passive evidence that runs: the workers' counters joined with a Passive for every server whose service wants it.

What a server is and what happens to it is the balancer's; this says what its traffic tells. One event loop's thread.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from swlb.addresses import Address
from swlb.check_status import CheckStatus
from swlb.checks import CheckKey
from swlb.clock import Clock
from swlb.config import Service
from swlb.config.passive_models import Passive as Rules
from swlb.config.source import counted
from swlb.durations import duration_text
from swlb.events import Events
from swlb.passive import Evidence, Passive, Seen
from swlb.probes import Outcome
from swlb.server_events import Change
from swlb.servers import UP, Key, ServerState

LOOK_GAP_S = 0.2  # between two looks at the workers' counters
TELL_GAP_S = 60.0  # clients fail again and again
# A session that has expired is found within a second (SWEEP_MS of ext/forward/upkeep.pxd), and here by the next look.
FOUND_S = 1.0 + 2 * LOOK_GAP_S

CAUSE = "passive"

Figures = dict[str, int]


class Servers(Protocol):
    """What this does things to: the balancer."""

    servers: dict[Key, ServerState]
    events: Events

    def statuses(self, key: Key) -> dict[int, CheckStatus]:
        """What each check of the server says, by its number."""

    def tell_change(self, state: ServerState, change: Change) -> None:
        """The server's operational state has changed: the workers know it, and it is told."""

    def probe_by(self, key: CheckKey, moment: float) -> None:
        """The next probe by that check begins by that moment."""


@dataclass(slots=True)
class _Watched:
    """A server, what is thought of it, the figures that were seen last, and when it was last told to be suspect.

    `index` is that under which the workers have counted these figures.
    """

    state: ServerState
    index: int
    rules: Rules
    passive: Passive
    figures: Figures
    told_at: float = -math.inf


class Traffic:
    """Passive evidence against servers, as long as somebody looks."""

    def __init__(self, balancer: Servers, figures_of: Callable[[int], Figures], clock: Clock) -> None:
        """`figures_of` gives the workers' figures of a server by its index."""
        self._balancer = balancer
        self._figures_of = figures_of
        self._clock = clock
        self._watched: dict[Key, _Watched] = {}
        self.follow()

    def follow(self) -> None:
        """Watched are the balancer's servers whose services want it now; those that were go on, by their new rules."""
        before, self._watched = self._watched, {}
        for key, state in self._balancer.servers.items():
            if (rules := state.service.passive) is None:
                if state.held_until is not None:
                    state.release(self._clock.now())
                continue
            watched = before.get(key)
            if watched is None or watched.state is not state:
                passive = _blank(state.service, rules, self._clock.now())
                watched = _Watched(state, state.index, rules, passive, self._figures_of(state.index))
            elif watched.index != state.index:
                watched.index, watched.figures = state.index, self._figures_of(state.index)
            watched.passive.follow(rules, late_after=_late_after(state.service))
            watched.rules = rules
            self._watched[key] = watched

    async def watch(self) -> None:
        """Looks for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now() + LOOK_GAP_S)
            self.look()

    def look(self) -> None:
        """What the traffic has said since the last look has been acted upon."""
        now = self._clock.now()
        for watched in self._watched.values():
            figures = self._figures_of(watched.state.index)
            seen = _seen(watched, figures)
            watched.figures = figures
            if (evidence := watched.passive.look(seen, now)) is not None:
                self._act(watched, evidence)
            if watched.passive.tick(now):
                self._bring_back(watched, f"its back-off of {_back_off(watched.passive)} is over")

    def hear_of_loss(self, address: Address) -> None:
        """Nobody answers for the address any more: evidence against the servers that have it."""
        for watched in self._watched.values():
            if watched.state.config.address == address:
                self._act(watched, Evidence(lost=True))

    def hear_of_probe(self, key: CheckKey, outcome: Outcome) -> None:
        """A suspect that its probe has not cleared is probed on by that check, until it has decided."""
        if (watched := self._watched.get(key[:2])) is None or not watched.passive.suspect:
            return
        statuses = self._balancer.statuses(key[:2])
        if all(status.history and status.history[-1].outcome.ok is not False for status in statuses.values()):
            watched.passive.suspect = False
        elif outcome.ok is False and key[2] in statuses:
            self._probe_soon(key, statuses[key[2]])

    def forgive(self, state: ServerState) -> None:
        """Nothing is held against the server any more, as on the first day."""
        if (watched := self._watched.get(state.key)) is not None:
            watched.passive = _blank(state.service, watched.rules, self._clock.now())
        if state.held_until is not None:
            state.release(self._clock.now())

    def spare_the_last(self, state: ServerState) -> None:
        """None of the servers that this one's clients may be given is held, if no other is left to them."""
        group = self._group(state)
        if any(other.effective_weight for other in group):
            return
        for other in group:
            if other.held_until is not None:
                self._watched[other.key].passive.release(self._clock.now())
                self._bring_back(self._watched[other.key], "no other server is left")

    def _act(self, watched: _Watched, evidence: Evidence) -> None:
        """A server that takes no sessions anyway is left alone."""
        state, passive, now = watched.state, watched.passive, self._clock.now()
        if not state.effective_weight or state.held_until is not None:
            return
        seen, passive.suspect = words(evidence, state), True
        if watched.rules.action == "down" and any(other.effective_weight for other in self._others(state)):
            passive.hold(now)
            change = Change(state.operational, CAUSE, detail=f"{seen}; tried again after {_back_off(passive)}")
            state.hold(evidence.reason, seen, until=now + passive.back_off, now=now)
            self._balancer.tell_change(state, change)
        elif now - watched.told_at >= TELL_GAP_S:
            watched.told_at = now
            stays = "it stays, as its clients have no other server to go to"
            self._tell(state, f"{seen}; {'it is probed at once' if watched.rules.action == 'probe' else stays}")
        for number, status in self._balancer.statuses(state.key).items():
            self._probe_soon((*state.key, number), status)

    def _bring_back(self, watched: _Watched, why: str) -> None:
        """The server is what its checks say, or up: its hold has ended."""
        state = watched.state
        change = Change(state.operational, CAUSE, detail=why)
        if state.release(self._clock.now()):
            self._tell(state, f"{why}; it stays down, as its check says: {state.reason}")
        else:
            self._balancer.tell_change(state, change)

    def _tell(self, state: ServerState, text: str) -> None:
        service, server = state.key
        self._balancer.events.add("passive", f"server {service}/{server}: {text}", service=service, server=server)

    def _probe_soon(self, key: CheckKey, status: CheckStatus) -> None:
        """The server is probed now, but no sooner than its last probe might have ended."""
        if status.operational != UP:
            return
        earliest = -math.inf
        for last in status.history[-1:]:
            began = last.at - last.outcome.duration_ms / 1000
            earliest = began + min(status.check.response, status.check.interval)
        self._balancer.probe_by(key, max(self._clock.now(), earliest))

    def _group(self, state: ServerState) -> list[ServerState]:
        """The servers that this one's clients may be given, itself among them."""
        service, version = state.service, state.config.address.version
        servers = [self._balancer.servers[service.name, name] for name in service.servers]
        return [other for other in servers if service.is_tunnel or other.config.address.version == version]

    def _others(self, state: ServerState) -> list[ServerState]:
        return [other for other in self._group(state) if other is not state]


def words(evidence: Evidence, state: ServerState) -> str:
    """What was seen: "5 connections within 10s were not answered"."""
    if evidence.lost:
        protocol = "ARP" if state.config.address.version == 4 else "neighbour discovery"
        return f"nobody answers {protocol} for {state.config.address}"
    count = evidence.silent + evidence.refused
    noun = "connection" if state.service.protocol == "tcp" else "session"
    within = f" within {duration_text(evidence.within)}" if evidence.within else ""
    many = f"{counted(count, noun)}{within}"
    were = "was" if count == 1 else "were"
    if not evidence.refused:
        return f"{many} {were} not answered"
    if not evidence.silent:
        return f"{many} {were} refused"
    return f"{many} failed: {evidence.silent} not answered, {evidence.refused} refused"


def _back_off(passive: Passive) -> str:
    return duration_text(passive.back_off)


def _blank(service: Service, rules: Rules, now: float) -> Passive:
    """What is thought of a server of which nothing was seen yet."""
    return Passive(rules, late_after=_late_after(service), now=now)


def _late_after(service: Service) -> float:
    """A session that ended unanswered was last asked for at most so long before it was found."""
    idle = service.timeouts.tcp_syn if service.protocol == "tcp" else service.timeouts.udp
    return idle + FOUND_S


def _seen(watched: _Watched, figures: Figures) -> Seen:
    """What has happened between two readings of a server's figures."""
    before = watched.figures
    refused, late = figures["refused"] - before["refused"], figures["unanswered"] - before["unanswered"]
    if watched.state.service.protocol == "tcp":
        return Seen(figures["answered"] - before["answered"], figures["repeated"] - before["repeated"], refused, late)
    # Every datagram of the server's is an answer to somebody, also in a session that was answered long ago.
    answered = figures["packets_out"] - before["packets_out"]
    return Seen(answered, 0, refused, late if watched.rules.one_way else 0)
