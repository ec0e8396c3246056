"""What a reload would do, and to how many sessions: `swlb plan`. Nothing is changed by asking.

A reload touches the sessions of what leaves, and no others: those of a server that was removed or replaced, or whose
service was. Under a scheduler that hashes, a change of the servers also moves clients that come later.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from swlb.changes import CHANGE, REMOVE, REPLACE, Changes, Step, changes, is_same_service
from swlb.config import Config, Service
from swlb.config.source import counted
from swlb.hash_space import moved, moved_of_others
from swlb.leaving import Fate, fate_of, fate_text
from swlb.persistence import is_outdated
from swlb.servers import READY_MAINT, READY_UP
from swlb.workers import Workers

HASH_SPACE = "hash space"

Row = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """How many sessions a server has, and whether packets of theirs may go to it."""

    sessions: int
    serves: bool = True


def held_by(workers: Workers, index: int) -> Held:
    """What the server of that index has now."""
    figures, ready = workers.server(index), workers.wanted(index)["ready"]
    sessions = figures["sessions_active"] + figures["sessions_inactive"]
    return Held(sessions, serves=ready & (READY_UP | READY_MAINT) == READY_UP)


@dataclass(frozen=True)
class Present:
    """What the plan is told of the running swlb: its configuration, what each server has, and which ports are lost."""

    config: Config
    held: Mapping[tuple[str, str], Held]
    lost: Collection[str] = ()


def plan(present: Present, after: Config) -> dict[str, Any]:
    """`steps`, and the `sentence` that sums them up: "2 servers added; no session is touched".

    A step has action, kind, name, details, sessions, effect, moved, moved_of_others. `moved` is the share of keys that
    another server will have (a row of its own, for each service that hashes); `moved_of_others` that of the keys of
    servers that stay. Both are null elsewhere.
    """
    steps = changes(present.config, after).steps
    told = {(step.kind, step.name) for step in steps}
    steps += tuple(step for step in _reopened(present, after) if (step.kind, step.name) not in told)
    rows = [_row(present, after, step) for step in steps]
    rows += [row for service in after.services.values() if (row := _hash_space(present, service)) is not None]
    return {"steps": rows, "sentence": _sentence(Changes(steps), sum(row["sessions"] for row in rows))}


def _sentence(steps: Changes, touched: int) -> str:
    if not steps.steps:
        return "nothing is different: a reload would change nothing"
    sessions = counted(touched, "session is", "sessions are") if touched else "no session is"
    return f"{steps.sentence()}; {sessions} touched"


def _reopened(present: Present, after: Config) -> Iterator[Step]:
    for name in present.lost:
        if name in after.ports:
            yield Step(CHANGE, "port", name, ("its device is lost and is opened anew",))


def _row(present: Present, after: Config, step: Step) -> Row:
    fates = _fates(present, after, step)
    return {
        "action": step.action,
        "kind": step.kind,
        "name": step.name,
        "details": list(step.details),
        "sessions": sum(fates.values()),
        "effect": _effect(present, after, step, fates),
        "moved": None,
        "moved_of_others": None,
    }


def _fates(present: Present, after: Config, step: Step) -> Counter[Fate]:
    """What becomes of how many sessions by this step; each server that leaves is of one step."""
    fates: Counter[Fate] = Counter()
    for service, name in _leaving(present, step):
        of = present.config.services[service]
        held = present.held[service, name]
        fates[fate_of(of, of.servers[name], after, serves=held.serves)] += held.sessions
    return +fates


def _leaving(present: Present, step: Step) -> list[tuple[str, str]]:
    """The servers whose sessions lose their place. Those of a service that is removed have steps of their own."""
    if step.kind == "server" and step.action in (REMOVE, REPLACE):
        service, _, server = step.name.partition("/")
        return [(service, server)]
    if step.kind == "service" and step.action == REPLACE:
        return [(step.name, name) for name in present.config.services[step.name].servers]
    return []


def _effect(present: Present, after: Config, step: Step, fates: Counter[Fate]) -> str:
    """What it means for clients, in words."""
    if step.kind not in ("service", "server"):
        return ""
    service = present.config.services.get(step.name.partition("/")[0])
    if service is None:
        return ""
    words = [fate_text(fate, n, udp=service.protocol == "udp") for fate, n in fates.items()]
    if step.kind == "service" and step.action == CHANGE and is_outdated(service, after.services[step.name]):
        words.append("who was to come back to which server is forgotten")
    return "; ".join(words)


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
