"""A full table: who is half open, done with or unanswered gives way to others; who is proven never does."""

import pytest

from swlb._testing_sessions import audit

from .test_syn_flood import BOTH, MINE, figures, flood, kinds, scene


def test_in_a_full_table_who_is_half_open_or_done_goes_first_and_who_is_proven_never() -> None:
    of = scene(quota=4, sessions=8)
    proven = [of.open(sport=3000 + i) for i in range(4)]
    done = of.open(sport=4000)
    of.answer(done, "RA", dport=4000)
    flood(of, 3)
    assert len(of.sessions()) == 8
    for i in range(4):
        of.open(sport=5000 + i)
    assert sorted(row["client_port"] for row in of.sessions()) == [3000, 3001, 3002, 3003, 5000, 5001, 5002, 5003]
    assert of.call(sport=6000) is None
    assert of.net.drops() == {"session_full": 1}
    assert "table_full" in kinds(of)
    for i, server in enumerate(proven):
        of.answer(server, "PA", dport=3000 + i)


@BOTH
def test_datagrams_that_nobody_answered_give_way_to_others(family: int) -> None:
    of = scene(family, protocol="udp", sessions=20)
    for i in range(5):
        server = of.call(sport=3000 + i)
        assert server is not None
        of.answer(server, "", dport=3000 + i)
    flood(of, 300, "")
    for i in range(5):
        server = of.call(sport=4000 + i)
        assert server is not None
        of.answer(server, "", dport=4000 + i)
    assert {row["client_port"] for row in of.sessions() if row["state"] == "TWO_WAY"} == {
        *range(3000, 3005), *range(4000, 4005)}
    assert len(of.sessions()) == 20
    assert of.net.drops() == {}


def test_a_connection_that_its_client_alone_speaks_of_gives_way() -> None:
    of = scene(quota=4, sessions=8)
    for i in range(12):
        assert of.call("S", sport=2000 + i) is not None
        assert of.call("A", sport=2000 + i) is not None
    for i in range(4):
        of.open(sport=3000 + i)
    assert of.net.drops() == {}
    assert audit(of.net.worker) is None


@pytest.mark.parametrize("ack", [0, 0x5000_0000, 0x9000_0000, 0x7ffe_0000 - 20 * 0x1_0000, 0x8001_0000])
def test_a_handshake_that_acknowledges_something_else_leaves_its_session_half_open(ack: int) -> None:
    """Who forges addresses does not hear the server's number, so SYN and ACK alone get nobody a session that stays."""
    of = scene()
    server = of.call("S", sport=MINE, seq=7)
    assert server is not None
    of.answer(server, "SA", dport=MINE, seq=0x7fff_1234, ack=8)
    of.call("A", sport=MINE, seq=8, ack=ack)
    assert of.state(MINE) == "SYN_RECV"
    assert figures(of)[0] == 1
    of.call("A", sport=MINE, seq=8, ack=0x7fff_1235)
    assert of.state(MINE) == "ESTABLISHED"
    assert figures(of)[0] == 0
