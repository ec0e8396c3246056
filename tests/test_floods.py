"""A flood of SYNs as several workers see it is one flood."""

from itertools import product
from pathlib import Path
from typing import Any

from control import CONFIG, control

from swlb.app import App
from swlb.floods import Floods
from swlb.probes import Way


def test_a_flood_begins_with_the_first_worker_and_ends_with_the_last_and_their_sum() -> None:
    floods = Floods()
    assert [floods.begin("web"), floods.begin("web"), floods.begin("dns")] == [True, False, True]
    assert floods.end("web", 5) is None
    assert floods.begin("web") is False
    assert floods.end("web", 6) is None
    assert floods.end("dns", 1) == 1
    assert floods.end("web", 7) == 18


def test_the_next_flood_begins_anew() -> None:
    floods = Floods()
    floods.begin("web")
    assert floods.end("web", 5) == 5
    assert floods.begin("web")
    assert floods.end("web", 2) == 2


def told(kind: str, *, port: int = 0, mac: bytes = bytes(6), ip: bytes = bytes(16)) -> dict[str, Any]:
    """An event as a worker tells it."""
    return {"kind": kind, "segment": 0, "port": port, "mac": mac, "ip": ip, "at_ns": 0}


def test_events_name_the_limit_that_was_reached_and_what_it_came_to(monkeypatch) -> None:
    limits = "limits: {sessions: 100, half_open: 10, sessions_per_source: 3}"
    run = control(CONFIG.replace("limits: {sessions: 100}", limits))
    # Devices of its own are another matter.
    ways = dict.fromkeys(product(run.config.segments, (4, 6)), Way("lo"))
    monkeypatch.setattr("swlb.app.ways_out", lambda *_: ways)
    app = App(run.config, run.built, run.ports, run.clock, file=Path("test.yaml"))
    web = run.built.services["web"]
    addresses = (bytes(10) + b"\xff\xff\xc0\x00\x02\x01", bytes.fromhex("20010db8" + "0" * 23 + "9"))
    app.built.workers.events = lambda: [  # type: ignore[method-assign]
        told("syn_flood", port=web),
        told("syn_flood_over", port=web, mac=(300).to_bytes(6, "little")),
        *(told("source_limit", ip=address) for address in addresses),
    ]
    app.hear()
    assert [event["text"] for event in app.events.rows()] == [
        "service web: no more sessions may be half open (limits.half_open: 10), so SYNs are forwarded without one; "
        "a connection gets it when its handshake is complete",
        "service web: the flood is over; 300 SYNs were forwarded without a session",
        "192.0.2.1 has 3 sessions, as many as one address may (limits.sessions_per_source): its new ones are dropped",
        "2001:db8::9's /64 has 3 sessions, as many as one address may (limits.sessions_per_source): "
        "its new ones are dropped",
    ]
