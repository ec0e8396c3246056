"""What is different between two configurations, step by step: what a reload would do, and in what words it is told.

A service of the same name is the same one while its vip, protocol and forward are, and a server of it while its address
and port are: what is not the same is replaced, and its sessions are those of something that has left. Everything else
that differs is a change, which no session notices.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from swlb.config import Config, Server, Service
from swlb.config.schedule_models import Limit, Persistence
from swlb.config.source import counted
from swlb.durations import duration_text
from swlb.indices import host_and_port, service_key

ADD, REMOVE, CHANGE, REPLACE = "add", "remove", "change", "replace"
PAST = {ADD: "added", REMOVE: "removed", CHANGE: "changed", REPLACE: "replaced"}
NO_DETAILS: tuple[str, ...] = ()

# What the fields of a service and of a server are called in the file, where that is not their own name.
KEYS = {"vips": "vip", "l4_ports": "port", "checks": "check"}
DURATIONS = ("slow_start",)
NAMED = ("ports", "segments", "checks", "services")
ORDERED = ("ports", "segments", "routes", "services")


@dataclass(frozen=True)
class Step:
    """One thing that a reload does: an `action` of PAST to what `kind` and `name` say; `details` are what differs."""

    action: str
    kind: str
    name: str
    details: tuple[str, ...] = NO_DETAILS


@dataclass(frozen=True)
class Changes:
    """All that is different, in the order of the configuration."""

    steps: tuple[Step, ...]

    def sentence(self) -> str:
        """In a few words: "2 servers added, 1 service changed"."""
        counts: dict[tuple[str, str], int] = {}
        for step in self.steps:
            counts[step.kind, step.action] = counts.get((step.kind, step.action), 0) + 1
        told = [f"{counted(n, kind)} {PAST[action]}" for (kind, action), n in counts.items()]
        return ", ".join(told) or "nothing is different"


def changes(before: Config, after: Config) -> Changes:
    """What a reload from one to the other does."""
    steps = [*_named("port", before.ports, after.ports), *_named("segment", before.segments, after.segments)]
    steps += _routes(before, after)
    steps += _services(before.services, after.services)
    steps += _settings(before, after)
    return Changes(tuple(steps))


def is_same_service(before: Service, after: Service) -> bool:
    """Whether two services of one name are one: its sessions go on as they are."""
    return service_key(before) == service_key(after)


def is_same_server(before: Server, after: Server) -> bool:
    """The same of two servers of one name and service."""
    return host_and_port(before) == host_and_port(after)


def _services(before: Mapping[str, Service], after: Mapping[str, Service]) -> Iterator[Step]:
    for name in _in_either(before, after):
        old, new = before.get(name), after.get(name)
        if new is None:
            yield Step(REMOVE, "service", name)
        elif old is None:
            yield Step(ADD, "service", name)
        elif details := (*_differences(old, new, leave_out=("name", "servers")), *_order(old, new, "servers")):
            yield Step(CHANGE if is_same_service(old, new) else REPLACE, "service", name, details)
        if old is not None and new is not None and not is_same_service(old, new):
            continue  # its servers are replaced with it
        yield from _servers(name, old.servers if old else {}, new.servers if new else {})


def _servers(service: str, before: Mapping[str, Server], after: Mapping[str, Server]) -> Iterator[Step]:
    for name in _in_either(before, after):
        old, new = before.get(name), after.get(name)
        path = f"{service}/{name}"
        if new is None:
            yield Step(REMOVE, "server", path)
        elif old is None:
            yield Step(ADD, "server", path)
        elif details := tuple(_differences(old, new, leave_out=("name",))):
            yield Step(CHANGE if is_same_server(old, new) else REPLACE, "server", path, details)


def _named(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    for name in _in_either(before, after):
        if name not in after:
            yield Step(REMOVE, kind, name)
        elif name not in before:
            yield Step(ADD, kind, name)
        elif details := tuple(_differences(before[name], after[name], leave_out=("name",))):
            yield Step(CHANGE, kind, name, details)


def _routes(before: Config, after: Config) -> Iterator[Step]:
    for route in before.routes:
        if route not in after.routes:
            yield Step(REMOVE, "route", f"{route.to} via {route.via}")
    for route in after.routes:
        if route not in before.routes:
            yield Step(ADD, "route", f"{route.to} via {route.via}")


def _settings(before: Config, after: Config) -> Iterator[Step]:
    """Keys of the configuration itself."""
    for difference in _differences(before, after, leave_out=("routes", *NAMED)):
        name, _, words = difference.partition(" ")
        yield Step(CHANGE, "setting", name, (words,) if words else NO_DETAILS)
    for name in ORDERED:
        for order in _order(before, after, name):
            yield Step(CHANGE, "setting", name, (order,))


def _differences(before: Any, after: Any, *, leave_out: Iterable[str]) -> Iterator[str]:
    """Each key that differs, with both values where they are short: "scheduler rr -> wlc"."""
    for field in fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in leave_out or old == new:
            continue
        key = KEYS.get(field.name, field.name)
        words = _short(field.name, old), _short(field.name, new)
        yield f"{key} {words[0]} -> {words[1]}" if None not in words else key


def _order(before: Any, after: Any, name: str) -> Iterator[str]:
    """The order, where what is in both has another one."""
    old, new = list(getattr(before, name)), list(getattr(after, name))
    if [item for item in old if item in new] != [item for item in new if item in old]:
        yield f"order of {name}"


def _short(name: str, value: Any) -> str | None:
    """The value as it is written in the file; None where it is too much for a line."""
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, Limit):
        return str(value.upper) if value.lower == value.upper else f"{value.upper} until below {value.lower}"
    if isinstance(value, Persistence):
        masks = f"mask: {value.mask}, mask6: {value.mask6}"
        return f"{{by: {value.by}, {masks}, timeout: {duration_text(value.timeout)}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if name == "l4_ports":
        return str(value.first) if value.first == value.last else f"{value.first}-{value.last}"
    if name == "fail_open":
        return f"{value:.0%}"
    if name in DURATIONS and isinstance(value, float):
        return duration_text(value)
    if isinstance(value, tuple) and all(not hasattr(item, "__dataclass_fields__") for item in value):
        return "[" + ", ".join(map(str, value)) + "]" if len(value) > 1 else str(value[0])
    return None if hasattr(value, "__dataclass_fields__") or isinstance(value, tuple | dict) else str(value)


def _in_either(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of both, in the order of the new one; what has left comes last."""
    return [*after, *(name for name in before if name not in after)]
