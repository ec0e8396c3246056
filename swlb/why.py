"""Why a server takes new sessions now, or takes none: one sentence, and the same as data. No I/O, no clock.

REASONS are the things that keep a server from new sessions, each a function of what is known that says so in words,
or nothing where it does not apply. All that apply must go before it takes some.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from swlb.ahead import seconds, what_next
from swlb.check_status import KEPT, CheckStatus
from swlb.combined import NO_WORD
from swlb.config.source import counted
from swlb.health import CHECKING, UP
from swlb.precedence import before_backup, before_by_weight
from swlb.servers import ServerState
from swlb.slow_start import SHARE_FULL
from swlb.spoken import DRAIN, MAINT

GO_ON = "those it has go on"


@dataclass(frozen=True)
class Known:
    """What the sentence is made of: the server, the status of each of its checks by number, and the moment.

    `servers` are all of its service's, `figures` what the workers count of each, by name.
    """

    state: ServerState
    statuses: Mapping[int, CheckStatus]
    now: float
    servers: Sequence[ServerState]
    figures: Mapping[str, Mapping[str, int]]

    @property
    def name(self) -> str:
        """SERVICE/SERVER."""
        return "/".join(self.state.key)

    @property
    def sessions_open(self) -> int:
        """How many of its sessions have not ended."""
        return self.figures[self.state.config.name]["sessions_open"]

    @property
    def is_full(self) -> bool:
        """Whether it has as many sessions as it may."""
        return bool(self.figures[self.state.config.name]["full"])

    @property
    def decider(self) -> CheckStatus | None:
        """The check that made it what it is; None where none is asked."""
        return self.statuses.get(self.state.decider)

    @property
    def threat(self) -> int | None:
        """The number of a check whose failures are about to take it out: one that is up, and needed."""
        failing = [number for number, status in self.statuses.items() if status.operational == UP and status.streak]
        needed = self.state.service.need == "all" or len(self.statuses) == 1
        return failing[0] if failing and needed and self.state.operational == UP else None


def why(known: Known) -> dict[str, Any]:
    """The sentence, and what it is made of."""
    state = known.state
    against = [words for reason in REASONS if (words := reason(known))]
    takes = not against
    because = against or [_for_it(known)]
    next_of = known.decider if known.threat is None else known.statuses[known.threat]
    ahead = what_next(next_of, known.now) if next_of else ""
    return {
        "server": known.name,
        "takes_new_sessions": takes,
        "sentence": _sentence(known.name, takes, because, ahead),
        "reasons": because,
        "next": ahead,
        "admin": state.admin,
        "effective_admin": state.effective_admin,
        "operational": state.operational,
        "weight": state.weight,
        "effective_weight": state.effective_weight,
        "backup": state.config.backup,
        "max_connections": state.max_connections.upper if state.max_connections else None,
        "sessions_open": known.sessions_open,
        "agent": str(state.agent) if state.agent else None,
    }


def _sentence(name: str, takes: bool, because: list[str], ahead: str) -> str:
    what = "takes new sessions" if takes else "takes no new sessions"
    then = f" Next: {ahead}." if ahead else ""
    return f"{name} {what}: {'; and '.join(because)}.{then}"


def _for_it(known: Known) -> str:
    weight = "; ".join(filter(None, (_weight(known), _backup(known), _load(known), _own_scheduler(known))))
    if known.state.operational != UP:
        why_not = "too few servers of its service are up (fail_open)"
        return f"it counts as up though {_health(known)}, as {why_not}; {weight}"
    if known.decider is None:
        return f"it has no check and always counts as up; {weight}"
    number = known.state.decider if known.threat is None else known.threat
    status = known.statuses[number]
    doubt = f", but fails now ({_last(status, False)}{_in_a_row(status)})" if known.threat is not None else ""
    return f"its {_check(known, number)} is up ({_last(status, True)}) for {_since(known)}{doubt}; {weight}"


def _weight(known: Known) -> str:
    """What counts of its weight."""
    state = known.state
    if (left := state.slow_for(known.now)) is None:
        return f"its weight is {state.wanted_weight}"
    counts = f"{state.share / SHARE_FULL:.0%} of its weight {state.wanted_weight} count"
    return f"it starts slowly: {counts}, all in {seconds(left)}"


def _backup(known: Known) -> str:
    return "it is a backup, and no other server can" if known.state.config.backup else ""


def _own_scheduler(known: Known) -> str:
    """Whose table may leave it out all the same."""
    service = known.state.service
    return f"whether it is given any, {service.scheduler} says" if service.has_own_scheduler else ""


def _load(known: Known) -> str:
    limit = known.state.limit
    return f"it has {counted(known.sessions_open, 'session')} of {limit.upper} it may have" if limit else ""


def _by_order(known: Known) -> str:
    back = f"`swlb set server {known.name} ready` undoes it"
    if known.state.admin == MAINT:
        return f"an operator's order, maint: nothing is sent to it and it is not checked; {back}"
    return f"an operator's order, drain: {_drained(known)}; {back}" if known.state.admin == DRAIN else ""


def _drained(known: Known) -> str:
    """What still comes to it."""
    return f"{GO_ON}, and its clients come back by persistence" if known.state.service.persistence else GO_ON


def _by_agent(known: Known) -> str:
    agent = known.state.agent
    if agent is None or agent.admin not in (MAINT, DRAIN):
        return ""
    said = f" ({agent.description})" if agent.description else ""
    what = "nothing is sent to it" if agent.admin == MAINT else _drained(known)
    return f"its agent says {agent.admin}{said}: {what}; only the agent can undo it, by ready"


def _by_weight(known: Known) -> str:
    if known.state.wanted_weight:
        return ""
    if known.state.weight:
        return f"its agent says weight 0: {GO_ON}; only the agent can undo it"
    where = "in the configuration" if known.state.config.weight == 0 else "by order"
    return f"its weight is 0 {where}: {GO_ON}; `swlb set server {known.name} weight=N` undoes it"


def _by_check(known: Known) -> str:
    state = known.state
    if state.counts_as_up or state.admin == MAINT:
        return ""
    return _health(known)


def _health(known: Known) -> str:
    """Why its operational state is not up."""
    state = known.state
    if state.held_until is not None:
        again = seconds(max(0.0, state.held_until - known.now))
        return f"its clients speak against it ({state.reason}, {state.held_for}); it is tried again in {again}"
    check = _check(known, state.decider)
    if state.operational == CHECKING:
        silent = state.standings[state.decider].state == NO_WORD
        return "its agent has never answered" if silent else f"its {check} is not decided yet"
    asked = known.decider
    if asked is not None and asked.check.type == "agent" and state.agent:
        return f"its agent says {state.agent.health} ({_last(asked, False)}) for {_since(known)}; only it can undo that"
    wins = "; its agent says up, and the check wins" if state.agent and state.agent.health == UP else ""
    last = f"{_last(asked, False)}{_in_a_row(asked)}" if asked else state.reason
    return f"its {check} fails ({last}) for {_since(known)}{wins}"


def _by_limit(known: Known) -> str:
    limit = known.state.limit
    if limit is None or not known.is_full:
        return ""
    whose = "says its agent" if known.state.agent and known.state.agent.max_connections else "max_connections"
    again = f"; it takes more when it has fewer than {limit.lower}" if limit.lower < limit.upper else ""
    return f"{_load(known)} ({whose}){again}"


def _by_backup(known: Known) -> str:
    if not (before := before_backup(known.state, known.servers, known.figures)):
        return ""
    can = f"{len(before)} other servers can" if len(before) > 3 else f"{', '.join(before)} can"
    return f"it is a backup: it takes no sessions while {can}"


def _by_scheduler(known: Known) -> str:
    resting = before_backup(known.state, known.servers, known.figures)
    return "" if resting else before_by_weight(known.state, known.servers, known.figures)


REASONS: tuple[Callable[[Known], str], ...] = (
    _by_order,
    _by_agent,
    _by_weight,
    _by_check,
    _by_limit,
    _by_backup,
    _by_scheduler,
)


def _check(known: Known, number: int) -> str:
    """The check in words: "check", and which one where there are several."""
    checks = known.state.service.checks
    if len(checks) < 2:
        return "check"
    need = "all must be up" if known.state.service.need == "all" else "any is enough"
    return f"check {known.state.service.check_words(number)}, one of {len(checks)} ({need}),"


def _last(status: CheckStatus, ok: bool) -> str:
    """The verdict and the detail of the last probe that ended well, or that did not."""
    outcome = next((past.outcome for past in reversed(status.history) if past.outcome.ok is ok), None)
    if outcome is None:
        return status.reason
    return f"{outcome.status}, {outcome.detail}" if outcome.detail else outcome.status


def _in_a_row(status: CheckStatus) -> str:
    """How many of its last probes failed, where it is more than one."""
    failures = [past.outcome.ok is False for past in reversed(status.history)]
    count = len(list(takewhile(bool, failures)))
    if count < 2:
        return ""
    return f", {count}{' or more' if count == KEPT else ''} in a row"


def _since(known: Known) -> str:
    return seconds(known.now - known.state.since)
