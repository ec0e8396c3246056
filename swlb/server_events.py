"""The events of servers and services, in words: who changed, why, and what it means for sessions."""

from dataclasses import dataclass

from swlb import servers as words
from swlb.check_status import CheckStatus
from swlb.config.schedule_models import Limit
from swlb.config.source import counted
from swlb.durations import duration_text
from swlb.effect import effect_of, effect_text
from swlb.events import Events
from swlb.servers import ServerState

AGENT, OPERATOR = "agent", "operator"


@dataclass(frozen=True)
class Change:
    """What a server is no longer, by which rule, and how long `hold_down` has kept it so.

    `detail` says why where no check has decided.
    """

    old: str
    cause: str
    held_s: float = 0.0
    detail: str = ""


class ServerEvents:
    """Tells what happens to servers. `figures` are the server's; `meant` is what it means for the service, in words."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def transition(
        self, state: ServerState, change: Change, status: CheckStatus | None, figures: dict[str, int], meant: str
    ) -> None:
        """The server's operational state has changed; `status` is that of the check that decided."""
        last = status.history[-1].outcome if status and status.history and not change.detail else None
        said = change.detail or (last.detail if last else "")
        detail = f"{state.reason}, {said}" if said else state.reason
        check = None if change.detail else state.check_name
        several = check is not None and len(state.service.checks) > 1
        which = f"check {state.service.check_words(state.decider)}: " if several else ""
        text = f"server {_name(state)} is {state.operational} (was {change.old}): {which}{detail}; {change.cause}"
        effect = {} if state.counts_as_up else effect_of(state.service, figures)
        if state.operational != words.UP:
            goes_on = "its sessions go on, as health is ignored (fail_open)"
            text += f"; {goes_on if state.counts_as_up else effect_text(effect)}"
        text += _slowly(state)
        if change.held_s:
            text += f"; hold_down has held it for {change.held_s:.1f} s"
        self._add(
            "server_up" if state.operational == words.UP else "server_down",
            text + meant,
            state,
            old=change.old,
            new=state.operational,
            reason=state.reason,
            cause=change.cause,
            check=check,
            detail=said,
            phases=dict(last.phases) if last else {},
            sessions=figures["sessions_active"] + figures["sessions_inactive"],
            effect=effect,
            monotonic_s=round(state.since, 6),
        )

    def admin(self, state: ServerState, old: str, *, new: str, by: str, figures: dict[str, int], meant: str) -> None:
        """The operator or the agent wanted `old` of the server and wants `new`; the stronger of both holds."""
        who = f"its agent says {new}{_quoted(state)}" if by == AGENT else f"is {new}"
        text = f"server {_name(state)}{':' if by == AGENT else ''} {who} (was {old})"
        if state.effective_admin != new:
            text += f"; {'the operator' if by == AGENT else 'its agent'}'s {state.effective_admin} holds"
        effect = effect_of(state.service, figures) if new == words.MAINT else {}
        text += f"; {effect_text(effect)}{meant}" if new == words.MAINT else _slowly(state) + meant
        self._add("admin", text, state, old=old, new=new, by=by, effect=effect)

    def weight(self, state: ServerState, old: int, *, by: str, meant: str) -> None:
        """The server weighs something else than `old`, by what the agent says; or it would, by the operator's order."""
        new = state.wanted_weight if by == AGENT else state.weight
        text = f"server {_name(state)} weighs {new} (was {old}){', says its agent' if by == AGENT else ''}"
        if state.wanted_weight != new:
            text += f"; its agent's {state.wanted_weight} holds"
        self._add("weight", text + meant, state, old=old, new=new, by=by)

    def limit(self, state: ServerState, old: Limit | None, *, meant: str) -> None:
        """The server's agent says how many sessions it may have open."""
        new = state.max_connections
        text = f"server {_name(state)} may have {limit_text(new)} (was {limit_text(old)}), says its agent"
        numbers = {"old": old.upper if old else None, "new": new.upper if new else None}
        self._add("limit", text + meant, state, **numbers, by=AGENT)

    def _add(self, kind: str, text: str, state: ServerState, **more: object) -> None:
        service, server = state.key
        self._events.add(kind, text, service=service, server=server, **more)


def limit_text(limit: Limit | None) -> str:
    """At most 100 sessions."""
    return f"at most {counted(limit.upper, 'session')}" if limit else "any number of sessions"


def _slowly(state: ServerState) -> str:
    """What is to be said of one that starts slowly."""
    if state.slow_since is None:
        return ""
    return f"; its share of new sessions grows for {duration_text(state.service.slow_start)} (slow_start)"


def _name(state: ServerState) -> str:
    return "/".join(state.key)


def _quoted(state: ServerState) -> str:
    return f" ({state.agent.description})" if state.agent and state.agent.description else ""
