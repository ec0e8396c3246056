"""Workers that choose a server for the same client at the same time agree on one: the first that was given stays.

All else about persistence is judged by what packets do (tests/scenarios/test_persistence*.py).
"""

from typing import Any

import pytest

from swlb._testing_sessions import Services
from swlb._worker import Persists, Worker
from tests.ext.values import TIMEOUTS_MS, ip, mac

TIMEOUT_MS = 60_000
CLIENT = {4: "192.0.2.7", 6: "2001:db8::7"}
SERVERS = {4: (0, 1), 6: (2, 3)}


def workers(n: int) -> list[Any]:
    """Workers with a persistent service each, which share the table of persistence."""
    persists, made = Persists(100), []
    for _ in range(n):
        worker = Worker(sessions=100, n_services=1, n_servers=4, n_addresses=2)
        segment = worker.add_segment(mac=mac("02:00:00:00:00:01"))
        service = worker.add_service(
            vips=[(ip("10.0.0.100"), segment), (ip("fd00::100"), segment)], protocol=6, l4_first=80, l4_last=80,
            refuse=0, orphans=0, on_down=0, timeouts_ns=[ms * 10**6 for ms in TIMEOUTS_MS],
            persistence_ns=TIMEOUT_MS * 10**6, persistence_masks=(128, 128))
        for server in ("10.0.1.1", "10.0.1.2", "fd00:1::1", "fd00:1::2"):
            worker.add_server(service, ip=ip(server), l4_port=8080, weight=1, ready=1)
        worker.use_persists(persists)
        worker.seal(now_ns=0)
        made.append(worker)
    return made


@pytest.mark.parametrize("family", [4, 6])
def test_who_was_given_first_is_the_client_s(family: int) -> None:
    first, second = map(Services, workers(2))
    a, b = SERVERS[family]
    assert first.persist_give(0, family, ip(CLIENT[family]), b, 1000) == second.persist_give(
        0, family, ip(CLIENT[family]), a, 1000)
    assert second.persist_give(0, family, ip(CLIENT[family]), a, 1000)[0] == b


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("kind", ["down", "weight", "time"])
def test_unless_that_may_not_have_it(family: int, kind: str) -> None:
    crew = workers(2)
    first, second = map(Services, crew)
    a, b = SERVERS[family]
    assert first.persist_give(0, family, ip(CLIENT[family]), b, 1000)[0] == b
    for worker in crew:
        if kind != "time":
            ready, weight = {"down": (0, 1), "weight": (1, 0)}[kind]
            worker.set_server(b, ready=ready, weight=weight, now_ns=0)
    later = 1000 + (TIMEOUT_MS if kind == "time" else 0)
    assert second.persist_give(0, family, ip(CLIENT[family]), a, later)[0] == a
    assert first.persist_give(0, family, ip(CLIENT[family]), b, later)[0] == a


def test_a_worker_whose_clock_is_behind_takes_nothing_for_over() -> None:
    first, second = map(Services, workers(2))
    assert first.persist_give(0, 4, ip(CLIENT[4]), 1, 5000)[0] == 1
    assert second.persist_give(0, 4, ip(CLIENT[4]), 0, 4999)[0] == 1
    wrapped, behind = 3, 2**32 - 2
    assert first.persist_give(0, 4, ip("192.0.2.8"), 1, wrapped)[0] == 1
    assert second.persist_give(0, 4, ip("192.0.2.8"), 0, behind)[0] == 1
    assert second.persist_give(0, 4, ip("192.0.2.9"), 1, behind)[0] == 1
    assert first.persist_give(0, 4, ip("192.0.2.9"), 0, (behind + TIMEOUT_MS - 1) % 2**32)[0] == 1
    assert first.persist_give(0, 4, ip("192.0.2.9"), 0, (behind + TIMEOUT_MS) % 2**32)[0] == 0


def test_a_persistent_service_without_a_table_is_refused() -> None:
    worker = Worker(sessions=100, n_services=1, n_servers=1, n_addresses=1)
    segment = worker.add_segment(mac=mac("02:00:00:00:00:01"))
    worker.add_service(vips=[(ip("10.0.0.100"), segment)], protocol=6, l4_first=80, l4_last=80, refuse=0, orphans=0,
                       on_down=0, timeouts_ns=[10**9] * 12, persistence_ns=10**9)
    with pytest.raises(RuntimeError):
        worker.seal(now_ns=0)
