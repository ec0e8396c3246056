"""One shape of a switch under spoilt frames, with time that jumps, servers that come and go, ports that fall."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.corpus import messages
from tests.fuzz.shapes import SECOND, START_NS, Shape

BATCH = 20_000
MILLISECOND = 10**6
READY = (0, 1, 1, 1, 3, 5)      # down; up, mostly; drain; maint


@dataclass(frozen=True)
class Outcome:
    """What one shape went through."""

    shape: str
    frames: int
    sent: int
    merged: int              # datagrams that left in the frame of another
    tunnelled: int           # frames that left with outer headers,
    fragments: int           # and those of them that are a fragment of a packet
    pieces: int              # frames that were cut or completed on their way out
    tagged: int              # frames that left by a trunk with a tag
    seconds: float
    drops: dict[str, int]
    most_sessions: int


def fuzz(make: Callable[..., Shape], *, seed: int, frames: int, seconds: float) -> Outcome:
    """So many frames went through, or fewer when time ran out. AssertionError names seed and batch of a fault."""
    from swlb._testing_fuzz import Fuzz
    from swlb._worker import drop_reasons

    choose = random.Random(seed)
    shape = make()
    hail = Fuzz(shape.worker, messages(), seed)
    began = time.monotonic()
    now_ns, done, most_sessions = START_NS, 0, 0
    while done < frames and time.monotonic() - began < seconds:
        n = min(BATCH, frames - done)
        try:
            now_ns = hail.run(n, now_ns, choose.choice((0, MILLISECOND // 10, MILLISECOND, 5 * MILLISECOND)))
        except AssertionError as fault:
            raise AssertionError(f"{shape.name}, seed {seed}, batch {done // BATCH}: {fault}") from None
        done += n
        most_sessions = max(most_sessions, shape.worker.counters()["sessions"])
        now_ns = disturb(shape, choose, now_ns)
        if choose.random() < 0.2:
            shape.worker.adopt(make(choose.randrange(24)).worker, now_ns=now_ns)
    drops = {name: count for (name, _), count in zip(drop_reasons(), shape.worker.drops(), strict=True) if count}
    took = time.monotonic() - began
    return Outcome(shape.name, done, hail.sent, hail.merged, hail.tunnelled, hail.fragments, hail.pieces,
                   hail.tagged, took, drops, most_sessions)


def disturb(shape: Shape, choose: random.Random, now_ns: int) -> int:
    """What happens between two batches; the time after it."""
    worker = shape.worker
    for server in shape.servers:
        if choose.random() < 0.1:
            limit = choose.choice((0, 0, 1, 5))
            worker.set_server(server, ready=choose.choice(READY), weight=choose.choice((0, 1, 1, 5, 65535)),
                              share=choose.choice((256, 256, 256, 1, 0, 77)), limit=limit,
                              lower=min(limit, choose.choice((1, 5))), now_ns=now_ns)
    for port in shape.ports:
        worker.set_port(port, up=choose.random() < 0.95, mtu=choose.choice((1500, 1500, 1280, 9000, 68)))
    if choose.random() < 0.1:
        choose.choice((worker.flush_sessions, lambda: worker.flush_fdb(0), lambda: worker.flush_neighbours(0)))()
    worker.events()
    worker.decisions()
    worker.fdb(0, now_ns=now_ns)
    worker.sessions(now_ns=now_ns)
    worker.neighbours(now_ns=now_ns)
    # Mostly no time passes here; rarely a day, or the 25 days that make a difference of two clocks negative.
    return now_ns + choose.choice((0, 0, 0, 0, 1, 4, 10, 300, 86_400, 25 * 86_400)) * SECOND
