"""What is so for every entry of the state table; the histories of connections are in tests/scenarios."""

import pytest

from swlb import _testing as c

S = {name: n for n, name in enumerate(c.STATES)}
FIN, SYN, RST, ACK = 1, 2, 4, 16
FROM_CLIENT, FROM_SERVER, ONE_SIDED = 0, 1, 2
TCP_STATES = range(1, S["UNREPLIED"] + 1)


def test_every_entry_of_the_table_is_a_tcp_state() -> None:
    entries = {state for direction in c.TCP_NEXT for event in direction for state in event}
    assert entries <= set(TCP_STATES)


def test_no_segment_leads_to_the_state_of_a_free_entry() -> None:
    for state in TCP_STATES:
        for direction in (FROM_CLIENT, FROM_SERVER, ONE_SIDED):
            for flags in range(256):
                assert c.tcp_state(state, direction, flags) in TCP_STATES


@pytest.mark.parametrize(("flags", "as_if"), [(RST | SYN | FIN | ACK, RST), (SYN | FIN | ACK, SYN), (FIN | ACK, FIN),
                                              (0, ACK)])
def test_reset_goes_before_syn_before_fin_before_the_rest(flags: int, as_if: int) -> None:
    for state in TCP_STATES:
        for direction in (FROM_CLIENT, FROM_SERVER, ONE_SIDED):
            assert c.tcp_state(state, direction, flags) == c.tcp_state(state, direction, as_if)


def test_a_connection_is_established_by_the_clients_acknowledgement() -> None:
    state = c.tcp_state(S["NONE"], FROM_CLIENT, SYN)
    assert state == S["SYN_RECV"]
    state = c.tcp_state(state, FROM_SERVER, SYN | ACK)
    assert state == S["SYN_RECV"]
    assert c.tcp_state(state, FROM_CLIENT, ACK) == S["ESTABLISHED"]


def test_a_reset_of_an_established_connection_closes_it_from_either_side() -> None:
    assert c.tcp_state(S["ESTABLISHED"], FROM_CLIENT, RST) == S["CLOSED"]
    assert c.tcp_state(S["ESTABLISHED"], FROM_SERVER, RST) == S["CLOSED"]


def test_udp_is_two_way_for_good_once_the_server_has_answered() -> None:
    assert c.udp_state(S["NONE"], FROM_CLIENT) == S["ONE_WAY"]
    assert c.udp_state(S["ONE_WAY"], FROM_SERVER) == S["TWO_WAY"]
    assert c.udp_state(S["TWO_WAY"], FROM_CLIENT) == S["TWO_WAY"]


def test_udp_from_one_side_is_two_way_with_the_second_datagram() -> None:
    assert c.udp_state(S["NONE"], ONE_SIDED) == S["ONE_WAY"]
    assert c.udp_state(S["ONE_WAY"], ONE_SIDED) == S["TWO_WAY"]
    assert c.udp_state(S["TWO_WAY"], ONE_SIDED) == S["TWO_WAY"]


def test_what_begins_in_mid_stream_is_unreplied_until_its_server_has_answered() -> None:
    state = c.tcp_state(S["NONE"], FROM_CLIENT, ACK)
    assert {c.tcp_state(state, FROM_CLIENT, flags) for flags in (ACK, FIN | ACK, RST)} == {S["UNREPLIED"]}
    assert c.tcp_state(state, FROM_SERVER, SYN | ACK) == S["UNREPLIED"]
    assert c.tcp_state(state, FROM_SERVER, ACK) == S["ESTABLISHED"]
    assert c.tcp_state(state, FROM_SERVER, RST) == S["CLOSED"]


def test_from_one_side_the_second_segment_counts() -> None:
    state = c.tcp_state(S["NONE"], ONE_SIDED, ACK)
    assert state == S["UNREPLIED"]
    assert c.tcp_state(state, ONE_SIDED, ACK) == S["ESTABLISHED"]


def test_a_port_may_be_reused_only_in_a_closing_state() -> None:
    closing = {name for name, state in S.items() if c.is_closing(state)}
    assert closing == {"FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED"}
