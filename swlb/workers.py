"""All workers as one: the control plane changes and asks them together and gets one answer.

Workers share nothing: each has tables of its own, built alike, so that an index means the same in all of them, and
a thread of its own. A session is in one of them; stations and neighbours are in whichever has seen them. With one
worker everything here is that worker's own answer.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from swlb._worker import Worker
from swlb.slow_start import SHARE_FULL

SAME_NS = 1_000_000_000  # what two workers tell within it is one event

# States of a neighbour, the most informative first.
KNOWING = ("REACHABLE", "STALE", "PROBE", "FAILED", "INCOMPLETE", "FREE")

Event = dict[str, Any]
Station = tuple[bytes, int, int, int]
Neighbour = tuple[int, bytes, bytes, str, int]


class Workers:
    """The workers, sealed. The doors are those of a Worker, with the same words."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = tuple(workers)
        self._echoes = _Echoes()

    def __len__(self) -> int:
        return len(self._workers)

    def __getitem__(self, number: int) -> Worker:
        return self._workers[number]

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block every worker forwards in a thread of its own."""
        threads = [
            threading.Thread(target=worker.run, name=f"worker {number}") for number, worker in enumerate(self._workers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for worker in self._workers:
                worker.stop()
            for thread in threads:
                thread.join()

    # ---- changing ----

    def adopt(self, image: "Workers", *, now_ns: int | None = None) -> None:
        """Every worker has taken over one of the image's, in turn. ValueError before any has, when one cannot."""
        pairs = list(zip(self._workers, image, strict=True))
        for worker, other in pairs:
            worker.may_adopt(other)
        for worker, other in pairs:
            worker.adopt(other, now_ns=now_ns)

    def set_server(
        self, index: int, *, ready: int, weight: int, share: int = SHARE_FULL, limit: int = 0, lower: int = 0,
        now_ns: int | None = None,
    ) -> None:  # fmt: skip
        """The server has these ready bits, this weight and share of it, and this limit; its service and VIP follow."""
        words = {"ready": ready, "weight": weight, "share": share, "limit": limit, "lower": lower}
        for worker in self._workers:
            worker.set_server(index, **words, now_ns=now_ns)

    def set_table(self, service: int, family: int, servers: Sequence[int]) -> None:
        """New sessions of clients of the family (4 or 6) are for these servers, in turn or by their hash."""
        for worker in self._workers:
            worker.set_table(service, family, servers)

    def set_port(self, index: int, *, up: bool, mtu: int) -> None:
        """The port is up or down and has that MTU."""
        for worker in self._workers:
            worker.set_port(index, up=up, mtu=mtu)

    def announce(self, segment: int, *, now_ns: int | None = None) -> None:
        """The VIPs of the segment are announced again, within 100 ms, by the first worker: once is enough."""
        self._workers[0].announce(segment, now_ns=now_ns)

    def flush_fdb(self, segment: int) -> int:
        """No station is known on the segment; how many were."""
        known = len(self.fdb(segment))
        return max(known, *[worker.flush_fdb(segment) for worker in self._workers])

    def flush_neighbours(self, segment: int) -> int:
        """No neighbour is known on the segment; how many were."""
        known = sum(row[0] == segment for row in self.neighbours())
        return max(known, *[worker.flush_neighbours(segment) for worker in self._workers])

    def flush_sessions(self, *, service: int | None = None, server: int | None = None) -> int:
        """Sessions of the service, or of the server, or all, are gone; how many."""
        return sum(worker.flush_sessions(service=service, server=server) for worker in self._workers)

    # ---- looking ----

    def events(self) -> list[Event]:
        """What happened since the last call, oldest first. What several workers noticed is told once."""
        taken = [(number, event) for number, worker in enumerate(self._workers) for event in worker.events()]
        taken.sort(key=lambda told: told[1]["at_ns"])
        return [event for number, event in taken if not self._echoes.is_one(number, event)]

    def drops(self) -> list[int]:
        """Frames dropped, by reason, in the order of drop_reasons()."""
        return [sum(counts) for counts in zip(*(worker.drops() for worker in self._workers), strict=True)]

    def counters(self) -> dict[str, int]:
        """Figures of the loops and their tables that are not about one port, server or session."""
        return _sums([worker.counters() for worker in self._workers])

    def port(self, index: int) -> dict[str, Any]:
        """The port's state and counters; lost when any worker has lost it."""
        rows = [worker.port(index) for worker in self._workers]
        lost = any(row["lost"] for row in rows)
        state = {name: rows[0][name] for name in ("up", "mtu", "io")}
        return _sums([{name: row[name] for name in row if name not in state} for row in rows]) | state | {"lost": lost}

    def server(self, index: int) -> dict[str, int]:
        """The server's counters; packets and bytes as seen from it: in is from clients."""
        return _sums([worker.server(index) for worker in self._workers])

    def service(self, index: int) -> dict[str, int]:
        """The service's own counters."""
        return _sums([worker.service(index) for worker in self._workers])

    def has_sessions(self, index: int) -> bool:
        """Whether the server of that index has any session, open or closed."""
        figures = self.server(index)
        return figures["sessions_active"] + figures["sessions_inactive"] > 0

    def wanted(self, index: int) -> dict[str, int]:
        """What was said last of the server to all workers: ready bits, weights and share."""
        wanted: dict[str, int] = self._workers[0].wanted(index)
        return wanted

    def fdb(self, segment: int, *, now_ns: int | None = None) -> list[Station]:
        """(MAC, VLAN, port, age in ms) of every station known on the segment; who heard it last knows best."""
        rows = (row for worker in self._workers for row in worker.fdb(segment, now_ns=now_ns))
        return _best(rows, key=lambda row: row[:2], badness=lambda row: row[3])

    def neighbours(self, *, now_ns: int | None = None) -> list[Neighbour]:
        """(segment, address, MAC, state, ms since its last sign of life) of every neighbour."""
        rows = (row for worker in self._workers for row in worker.neighbours(now_ns=now_ns))
        # A MAC, however old, is more than a question that was not answered yet.
        return _best(rows, key=lambda row: row[:2], badness=lambda row: (not any(row[2]), row[4]))

    def neighbour_state(self, segment: int, ip: bytes) -> str:
        """What is known of the neighbour by who knows most: with a MAC, asked for, not answering (FAILED), or FREE."""
        return min((worker.neighbour_state(segment, ip) for worker in self._workers), key=KNOWING.index)

    def session_slices(self, *, now_ns: int | None = None, **chosen: Any) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of every worker, in lists that take little time each; its own door says what is in them."""
        for worker in self._workers:
            yield from worker.session_slices(now_ns=now_ns, **chosen)

    def persistence_slices(self, *, now_ns: int | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """Who would come back to which server, in lists that take little time each: in one table for all workers."""
        return self._workers[0].persistence_slices(now_ns=now_ns)

    def flow_slices(self, *, now_ns: int | None = None, **chosen: Any) -> Iterator[list[tuple[Any, ...]]]:
        """The same of flows over the borders of segments that masquerade."""
        for worker in self._workers:
            yield from worker.flow_slices(now_ns=now_ns, **chosen)

    def decisions(self) -> list[dict[str, Any]]:
        """The last choices of a server for a new session by every worker, oldest first."""
        taken = (decision for worker in self._workers for decision in worker.decisions())
        return sorted(taken, key=lambda decision: decision["at_ns"])

    def sessions(self, *, now_ns: int | None = None) -> list[tuple[Any, ...]]:
        """The same as one list."""
        return [row for rows in self.session_slices(now_ns=now_ns) for row in rows]


class _Echoes:
    """What was told lately, and by which worker, to know when another tells the same."""

    def __init__(self) -> None:
        self._told: dict[tuple[Any, ...], tuple[int, int]] = {}

    def is_one(self, worker: int, event: Event) -> bool:
        """Whether another worker has told this within a second. The worker that told it first may tell it again.

        Floods are every worker's own: floods.py adds them up.
        """
        if event["kind"] in ("syn_flood", "syn_flood_over"):
            return False
        key = tuple(event[name] for name in ("kind", "segment", "port", "mac", "ip"))
        now = event["at_ns"]
        self._told = {key: told for key, told in self._told.items() if abs(now - told[1]) <= SAME_NS}
        teller, _ = self._told.setdefault(key, (worker, now))
        if teller == worker:
            self._told[key] = (worker, now)
        return teller != worker


def _sums(rows: Sequence[dict[str, int]]) -> dict[str, int]:
    if len(rows) == 1:
        return rows[0]
    return {name: sum(row[name] for row in rows) for name in rows[0]}


def _best(rows: Iterable[Any], *, key: Callable[[Any], Any], badness: Callable[[Any], Any]) -> list[Any]:
    """One row for each key, the least bad, in the order in which keys first came."""
    best: dict[Any, Any] = {}
    for row in rows:
        other = best.setdefault(key(row), row)
        if badness(row) < badness(other):
            best[key(row)] = row
    return list(best.values())
