"""What a reload would do, and to how many sessions: `swlb plan`. Nothing is changed by asking.

A reload touches the sessions of what leaves, and no others: those of a server that was removed or replaced, or whose
service was. Under a scheduler that hashes, a change of the servers also moves clients that come later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swlb.changes import REMOVE, REPLACE, Changes, Step, changes, is_same_service
from swlb.config import Config, Service
from swlb.config.source import counted
from swlb.hash_space import moved, moved_of_others

HASH_SPACE = "hash space"

Figures = dict[str, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class Present:
    """What the plan is told of the running swlb: its configuration, and the figures of each server."""

    config: Config
    figures: Mapping[tuple[str, str], Figures]


def plan(present: Present, after: Config) -> list[Row]:
    """One row a step: action, kind, name, details, sessions, effect, moved, moved_of_others.

    `moved` is the share of keys that another server will have (a row of its own, for each service that hashes);
    `moved_of_others` that of the keys of servers that stay. Both are null elsewhere.
    """
    steps = changes(present.config, after)
    rows = [_row(present, step) for step in steps.steps]
    return rows + [row for service in after.services.values() if (row := _hash_space(present, service)) is not None]


def summary(steps: Changes, rows: list[Row]) -> str:
    """The plan in a sentence: "2 servers added, 1 removed; 12 sessions are touched"."""
    touched = sum(row["sessions"] for row in rows)
    sessions = counted(touched, "session is", "sessions are") if touched else "no session is"
    return f"{steps.sentence()}; {sessions} touched"


def _row(present: Present, step: Step) -> Row:
    figures = _leaving(present, step)
    sessions = sum(row["sessions_active"] + row["sessions_inactive"] for row in figures)
    effect = _effect(present, step, sum(row["sessions_active"] for row in figures), sessions)
    return {
        "action": step.action,
        "kind": step.kind,
        "name": step.name,
        "details": list(step.details),
        "sessions": sessions,
        "effect": effect,
        "moved": None,
        "moved_of_others": None,
    }


def _leaving(present: Present, step: Step) -> list[Figures]:
    """The figures of the servers whose sessions lose their place by this step; each server is one step's."""
    if step.action not in (REMOVE, REPLACE):
        return []
    if step.kind == "server":
        service, _, server = step.name.partition("/")
        return [present.figures[service, server]]
    if step.kind == "service" and step.action == REPLACE:
        return [present.figures[step.name, name] for name in present.config.services[step.name].servers]
    return []


def _effect(present: Present, step: Step, active: int, sessions: int) -> str:
    """What becomes of them, in words."""
    if not sessions:
        return ""
    service = present.config.services[step.name.partition("/")[0]]
    if service.protocol == "udp":
        return f"at its next packet each of {sessions} is scheduled anew"
    rest = sessions - active
    ends = f"{counted(active, 'connection goes', 'connections go')} on to {'its' if active == 1 else 'their'} end"
    return "; ".join(filter(None, [ends if active else "", f"{rest} closing" if rest else ""]))


def _hash_space(present: Present, after: Service) -> Row | None:
    """What moves under the service's hash; None where nothing does."""
    before = present.config.services.get(after.name)
    if before is None or not is_same_service(before, after) or not (share := moved(before, after)):
        return None
    others = moved_of_others(before, after)
    words = f"{share:.2%} of keys get another server"
    if others is not None:
        words += f", {others:.2%} of those whose server stays"
    return {
        "action": "move",
        "kind": HASH_SPACE,
        "name": after.name,
        "details": [words],
        "sessions": 0,
        "effect": "known sessions stay; clients that come later may meet another server",
        "moved": share,
        "moved_of_others": others,
    }
