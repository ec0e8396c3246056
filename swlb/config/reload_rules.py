"""What a configuration must leave as it is while swlb runs: the sizes of tables, and the devices of ports that stay."""

from collections.abc import Callable, Iterator

from swlb.config.models import Config, Port
from swlb.config.source import Finding, Path

FIXED_LIMITS = ("sessions", "half_open", "sessions_per_source", "fragments", "neighbours")


def what_is_fixed(config: Config, running: Config, is_sound: Callable[[str], bool]) -> Iterator[Finding]:
    """Every change of what a swlb that runs with `running` fixed at its start."""
    fixed: list[tuple[tuple[str, ...], int | None, int | None]] = [(("workers",), config.workers, running.workers)]
    fixed += [(("limits", key), getattr(config.limits, key), getattr(running.limits, key)) for key in FIXED_LIMITS]
    for path, wanted, present in fixed:
        if wanted != present and is_sound(path[0]):
            yield _fixed(path, wanted, present)
    if is_sound("ports"):
        in_use = {(port.netns, port.device): port for port in running.ports.values()}
        for name, port in config.ports.items():
            if name in running.ports:
                yield from _another_device(port, running.ports[name])
            elif (holder := in_use.get((port.netns, port.device))) is not None and holder.kind != port.kind:
                expected = f"a device that port {holder.name} has not got now, or one of its kind, {holder.kind}"
                yield Finding(("ports", name, port.kind), f"{port.kind} {port.device}", expected)


def _fixed(path: Path, wanted: int | None, present: int | None) -> Finding:
    found, expected = ("none" if value is None else str(value) for value in (wanted, present))
    return Finding(path, found, f"{expected}, as at the start of swlb: another one takes a new start")


def _another_device(port: Port, running: Port) -> Iterator[Finding]:
    """A port that stays has the device that it has."""
    if (port.kinds, port.device) != (running.kinds, running.device):
        yield _moved(port, port.kind, f"{port.kind} {port.device}", f"{running.kind} {running.device}")
    if port.netns != running.netns:
        yield _moved(port, "netns", _place(port), _place(running))


def _moved(port: Port, key: str, wanted: str, present: str) -> Finding:
    expected = f"{present}, which the port has: give a port of another device another name"
    return Finding(("ports", port.name, key), wanted, expected)


def _place(port: Port) -> str:
    return "no netns" if port.netns is None else f"netns {port.netns}"
