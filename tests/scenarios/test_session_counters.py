"""Packets and bytes, by session and by server, in from clients and out to them."""

import pytest

from .balanced import Scene, routed

BOTH = pytest.mark.parametrize("family", [4, 6])
HEADERS = {(4, "tcp"): 40, (6, "tcp"): 60, (4, "udp"): 28, (6, "udp"): 48}


def figures(row: dict) -> tuple[int, int, int, int]:
    return tuple(row[name] for name in ("packets_in", "packets_out", "bytes_in", "bytes_out"))


@pytest.fixture(params=HEADERS, ids=lambda p: f"{p[1]}-v{p[0]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    family, protocol = request.param
    return routed(family, protocol=protocol, n_servers=2)


def test_bytes_are_those_of_the_ip_packet(scene: Scene) -> None:
    headers = HEADERS[scene.family, scene.protocol]
    scene.call("S", payload=b"x" * 7)
    scene.answer(0, "SA", payload=b"y" * 1001)
    scene.answer(0, "A")
    wanted = (1, 2, headers + 7, 2 * headers + 1001)
    assert figures(scene.session()) == figures(scene.counters()) == wanted


def test_server_counts_all_its_sessions_together(scene: Scene) -> None:
    headers = HEADERS[scene.family, scene.protocol]
    for port in (1, 2, 3, 4):
        scene.call(sport=port)
    assert figures(scene.counters(0)) == figures(scene.counters(1)) == (2, 0, 2 * headers, 0)
    assert figures(scene.session(1)) == (1, 0, headers, 0)


def test_counters_of_the_server_survive_its_sessions(scene: Scene) -> None:
    scene.call()
    scene.net.worker.flush_sessions()
    assert scene.counters(0)["packets_in"] == 1
    assert scene.counters(0)["sessions_total"] == 1


@BOTH
def test_refused_packets_count_for_no_server(family: int) -> None:
    scene = routed(family, n_servers=1, orphans="drop")
    scene.call("A")
    assert figures(scene.counters()) == (0, 0, 0, 0)
    assert scene.counters()["sessions_total"] == 0


@BOTH
def test_reused_port_begins_with_fresh_figures(family: int) -> None:
    scene = routed(family, n_servers=1)
    scene.open()
    scene.call("FA")
    assert scene.call("S") == 0
    assert scene.session()["packets_in"] == 1
    assert scene.counters()["packets_in"] == 4
    assert scene.counters()["sessions_total"] == 2
    assert (scene.counters()["sessions_active"], scene.counters()["sessions_inactive"]) == (0, 1)


@BOTH
def test_ages_are_those_of_the_session(family: int) -> None:
    scene = routed(family, n_servers=1)
    scene.call("S")
    scene.net.now_ns += 1_234_000_000
    scene.call("S")
    scene.net.now_ns += 66_000_000
    row = scene.session()
    assert (row["age_ms"], row["idle_ms"], row["left_ms"]) == (1300, 66, 60_000 - 66)
    assert (row["client"], row["client_port"], row["vip_port"], row["server_port"]) == (
        scene.client.addresses[0], 40000, 80, 8080)
