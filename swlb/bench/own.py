"""Figures of swlb itself, for which no load is sent and no peer is needed."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from swlb.config.schedule_models import SCHEDULERS

from .checks import SERVERS as CHECKED_SERVERS
from .checks import SERVICES as CHECKED_SERVICES
from .checks import measure_checks
from .commands import Unavailable, run
from .figure import Figure, Reading
from .idle import IDLE_S, SETTLE_S
from .moves import CHANGES, measure_moves
from .ours import large, routed, spawn_swlb
from .reloads import measure_reload
from .topology import Topology

MANY, FEW = 1_000_000, 1_000
PACES = {"lookup": "finding a session, in bursts", "lookup_single": "finding a session, each after the last",
         "begin": "beginning a session", "frame": "a packet of a session, in to out"}
SERVICES, SERVERS = 100, 10
SIZES = (2, 10, 100, 1000)
SESSIONS_TIMEOUT_S = 60.0
# Start takes some hundred milliseconds; looking for "ready" this often is a hundredth of them.
READY_POLL_S = 0.002
MEBI = 1 << 20


@dataclass(frozen=True)
class OwnDriver:
    """How figures of swlb itself are measured."""

    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Topology], Reading]


def measure_sessions(topology: Topology) -> Reading:
    """Bytes of an IPv4 session when there are a million; then of each of PACES few, many and growth."""
    few, many = (_sessions(n) for n in (FEW, MANY))
    paces = ((few[key], many[key], many[key] / few[key]) for key in (f"{pace}_ns" for pace in PACES))
    return Reading((many["bytes"] / MANY, *chain.from_iterable(paces)))


def measure_start(topology: Topology) -> Reading:
    """Seconds from the start of the program to "ready", with a large configuration."""
    with topology.apart("start") as part:
        client, server, own = (part.namespace(f"start-{role}") for role in ("client", "server", "balancer"))
        configuration = large(client, server, services=SERVICES, servers=SERVERS)
        begin = time.monotonic()
        spawn_swlb(part, configuration, netns=own, name="swlb-start", poll_s=READY_POLL_S)
        return Reading((time.monotonic() - begin,))


def measure_rest(topology: Topology) -> Reading:
    """Memory and processor time of a swlb that has nothing to do, with a small configuration."""
    with topology.apart("rest") as part:
        client, server, own = (part.namespace(f"rest-{role}") for role in ("client", "server", "balancer"))
        process = spawn_swlb(part, routed(client, server), netns=own, name="swlb-rest")
        time.sleep(SETTLE_S)
        before, begin = process.cpu_seconds(), time.monotonic()
        time.sleep(IDLE_S)
        share = (process.cpu_seconds() - before) / (time.monotonic() - begin)
        return Reading((process.resident_bytes() / MEBI, share * 100))


def measure_choices(topology: Topology, *, scheduler: str) -> Reading:
    """Nanoseconds of a choice, then of a session from its choice to its end, by the number of servers."""
    choices, sessions = zip(*_apart("schedules", scheduler, *map(str, SIZES)), strict=True)
    return Reading((*choices, *sessions))


def _sessions(n: int) -> dict[str, float]:
    found: dict[str, float] = _apart("sessions", str(n))
    return found


def _apart(program: str, *words: str) -> Any:
    """What the program of this package found out, in a process of its own."""
    try:
        import swlb._testing_sessions  # noqa: F401
    except ImportError as error:
        raise Unavailable("the doors for tests are not in wheels; it needs a build in the source tree") from error
    return json.loads(run([sys.executable, "-m", f"swlb.bench.{program}", *words], timeout_s=SESSIONS_TIMEOUT_S))


def _figure(key: str, title: str, unit: str, *, row: str = "", column: str = "") -> Figure:
    return Figure(key, title, unit, higher_is_better=False, compared=False, own=True, row=row, column=column)


def _paces(pace: str) -> tuple[Figure, ...]:
    """What it takes among few sessions and among many, and the growth from one to the other."""
    words = PACES[pace]
    return (_figure(f"{pace}_few", "sessions", "ns", row=words, column=f"{FEW:,} sessions"),
            _figure(f"{pace}_many", "sessions", "ns", row=words, column=f"{MANY:,} sessions"),
            _figure(f"{pace}_growth", f"{words}: {MANY:,} sessions over {FEW:,}", "×"))


def _choices(scheduler: str) -> OwnDriver:
    figures = (_figure(f"choice_{key}{scheduler}_{n}", title, "ns", row=scheduler, column=f"{n:,} servers")
               for key, title in (("", "choosing a server"),
                                  ("session_", "a session, from its choice to its end")) for n in SIZES)
    return OwnDriver(f"{scheduler} among {', '.join(map(str, SIZES))}: choices, then sessions", tuple(figures),
                     partial(measure_choices, scheduler=scheduler))


def _checks(kind: str) -> OwnDriver:
    title = f"{CHECKED_SERVICES * CHECKED_SERVERS} checks a second, {kind}"
    return OwnDriver(title, (_figure(f"checks_{kind}_cpu", f"{title}: Python, one core", "%"),
                             _figure(f"checks_{kind}_late", f"{title}: p99 late", "ms")),
                     partial(measure_checks, kind=kind))


def _moves(scheduler: str) -> OwnDriver:
    """Flows that get another server; beside each figure what no scheduler could do with less."""
    title = f"flows that move, {scheduler}"
    figures = tuple(
        _figure(f"moves_{change.key}_{scheduler}", f"{title}: {change.words} (least {change.least:.1f})", "%")
        for change in CHANGES
    )
    return OwnDriver(title, figures, lambda topology: Reading(measure_moves(scheduler)))


OWN_DRIVERS = (
    OwnDriver("a million sessions", (
        _figure("session_bytes", "IPv4 session, with a million of them", "bytes"),
        *chain.from_iterable(map(_paces, PACES))), measure_sessions),
    OwnDriver("start", (_figure("start", f"start to ready, {SERVICES} services of {SERVERS} servers", "s"),),
              measure_start),
    OwnDriver("reload", (
        _figure("reload", f"reload, {SERVICES} services of {SERVERS} servers, a few changed", "ms"),
        _figure("reload_lost", "datagrams lost in ten reloads, one a millisecond", "frames")), measure_reload),
    OwnDriver("at rest", (
        _figure("resident", "resident memory, idle", "MiB"),
        _figure("idle_alone", "idle CPU, one core", "%")), measure_rest),
    _checks("tcp"),
    _checks("http"),
    _moves("hash"),
    _moves("maglev"),
    *(_choices(scheduler) for scheduler in SCHEDULERS),
)
