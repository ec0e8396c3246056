"""RFC 5961, blind attacks on TCP, as far as they concern a session in the middle; scapy judges packets."""

from random import Random

import pytest

from tests.scenarios.balanced import Scene, routed, transparent
from tests.scenarios.frames import TCP

BOTH = pytest.mark.parametrize("family", [4, 6])
SIDES = pytest.mark.parametrize("side", ["client", "server"])
ISN = {"client": 0xFFFE8000, "server": 0x12345678}      # the client's stream wraps
KB64 = 65536
TIMEOUTS = {"tcp_established": 100.0, "tcp_fin": 20.0, "tcp_closed": 10.0}


def say(scene: Scene, side: str, flags: str, seq: int = 1, ack: int = 1, payload: bytes = b"") -> None:
    """A segment of that side's has come in and left as it had to; numbers count from where the side began."""
    other = "server" if side == "client" else "client"
    numbers = {"seq": (ISN[side] + seq) % 2**32, "ack": (ISN[other] + ack) % 2**32 if "A" in flags else 0}
    if side == "client":
        assert scene.call(flags, payload=payload, **numbers) == 0
    else:
        scene.answer(0, flags, payload=payload, **numbers)


def established(family: int = 4, **given: object) -> Scene:
    scene = routed(family, n_servers=2, timeouts=TIMEOUTS, **given)
    say(scene, "client", "S", seq=0)
    say(scene, "server", "SA", seq=0)
    say(scene, "client", "A")
    assert scene.state() == "ESTABLISHED"
    return scene


@BOTH
@SIDES
def test_section_3_a_reset_out_of_the_window_is_passed_on_and_changes_nothing(family: int, side: str) -> None:
    """A reset whose number its sender cannot have reached is left to the receiver: no state, timer or counter moves."""
    scene, random = established(family), Random(side)
    before = scene.session()
    scene.net.now_ns += 5 * 10**9
    for _ in range(50):
        far = random.randrange(2 * KB64, 2**32 - 18 * KB64)
        say(scene, side, random.choice(("R", "RA")), seq=far)
    after = scene.session()
    assert after == {**before, "age_ms": before["age_ms"] + 5000, "idle_ms": 5000, "left_ms": before["left_ms"] - 5000}
    assert scene.net.drops() == {}


@BOTH
@SIDES
@pytest.mark.parametrize("flags", ["R", "RA"])
def test_section_3_a_reset_in_the_window_closes(family: int, side: str, flags: str) -> None:
    """A reset at the number that comes next is the sender's own."""
    scene = established(family)
    say(scene, side, "PA", payload=bytes(900))
    say(scene, side, flags, seq=901)
    assert (scene.state(), scene.session()["left_ms"]) == ("CLOSED", 10_000)


@SIDES
@pytest.mark.parametrize(("seq", "state"), [(-17, "ESTABLISHED"), (-16, "CLOSED"), (0, "CLOSED"), (1, "CLOSED"),
                                            (2, "ESTABLISHED")])
def test_section_3_the_window_is_known_to_64_kib(side: str, seq: int, state: str) -> None:
    """The window reaches from 16 blocks of 64 KiB behind the last segment to one block ahead of it."""
    scene = established()
    say(scene, side, "R", seq=seq * KB64)
    assert scene.state() == state


@BOTH
@SIDES
def test_section_3_the_window_goes_with_the_stream(family: int, side: str) -> None:
    """What was right a megabyte and more ago is not any more, and what lies ahead becomes right."""
    scene = established(family)
    for n in range(40):
        say(scene, side, "PA", seq=1 + n * 60_000, payload=b"x")
    say(scene, side, "R", seq=1)
    assert scene.state() == "ESTABLISHED"
    say(scene, side, "R", seq=2 + 39 * 60_000)
    assert scene.state() == "CLOSED"


@SIDES
def test_section_3_a_forged_segment_does_not_prepare_a_forged_reset(side: str) -> None:
    """Data far ahead that acknowledges nothing of the other side moves no window."""
    scene = established()
    say(scene, side, "PA", seq=2**30, ack=2**30, payload=b"forged")
    say(scene, side, "R", seq=2**30 + 6)
    assert scene.state() == "ESTABLISHED"
    say(scene, side, "R", seq=1)
    assert scene.state() == "CLOSED"


@SIDES
def test_section_3_a_stream_of_which_a_part_passed_by_is_found_again(side: str) -> None:
    """Data far ahead that acknowledges what the other side has sent is the sender's."""
    scene = established()
    say(scene, side, "PA", seq=2**30, ack=1, payload=b"true")
    say(scene, side, "R", seq=2**30 + 4)
    assert scene.state() == "CLOSED"


@BOTH
@SIDES
def test_section_3_who_goes_on_after_a_reset_has_not_sent_it(family: int, side: str) -> None:
    """A reset that was guessed and that its receiver challenged costs the connection nothing (RFC 6146 3.5.2.2)."""
    scene = established(family)
    say(scene, side, "R", seq=500)
    assert scene.state() == "CLOSED"
    scene.net.wait(9.0, step=1.0)
    scene.net.discard()
    for station in (scene.client, *scene.servers):
        station.greet()
    say(scene, side, "A")
    assert (scene.state(), scene.session()["left_ms"]) == ("ESTABLISHED", 100_000)
    assert scene.counters()["sessions_active"] == 1


@SIDES
def test_section_3_the_other_sides_segments_do_not_undo_a_reset(side: str) -> None:
    """What was on its way to the side that has reset passes, and the session stays closed."""
    scene = established()
    say(scene, side, "RA", seq=1)
    other = "server" if side == "client" else "client"
    for n in range(3):
        say(scene, other, "PA", seq=1 + n, payload=b"x")
        assert scene.state() == "CLOSED"
    assert scene.net.drops() == {}
    say(scene, side, "R", seq=1)
    assert scene.state() == "CLOSED"


@BOTH
@SIDES
@pytest.mark.parametrize("flags", ["S", "SA"])
def test_section_4_a_syn_in_an_established_connection_is_passed_on(family: int, side: str, flags: str) -> None:
    """A SYN with any number is left to its receiver, who challenges it; the session goes on with its server."""
    scene, random = established(family), Random(flags)
    for _ in range(5):
        say(scene, side, flags, seq=random.getrandbits(32), ack=random.getrandbits(32))
        assert scene.state() == "ESTABLISHED"
    say(scene, side, "PA", payload=b"still here")
    say(scene, side, "R", seq=2)
    assert scene.state() == "CLOSED"


def test_section_4_a_client_that_has_forgotten_its_connection_begins_anew() -> None:
    """Both ends begin a connection in the session of one of which no end was heard; its resets are believed again."""
    scene = established()
    say(scene, "client", "S", seq=2**29)
    say(scene, "server", "SA", seq=2**30, ack=2**29 + 1)
    say(scene, "client", "A", seq=2**29 + 1, ack=2**30 + 1)
    say(scene, "server", "PA", seq=2**30 + 1, ack=2**29 + 1, payload=b"x")
    say(scene, "client", "R", seq=2**29 + 1)
    assert scene.state() == "CLOSED"


@pytest.mark.parametrize(("flags", "ack", "state"), [("RA", 1, "CLOSED"), ("RA", 2**30, "SYN_RECV"),
                                                     ("R", 0, "SYN_RECV")])
def test_section_3_a_syn_is_refused_only_by_who_has_seen_it(flags: str, ack: int, state: str) -> None:
    """As in SYN-SENT (RFC 9293 3.10.7.3), a reset has to acknowledge the SYN; its own number says nothing."""
    scene = routed(n_servers=1)
    say(scene, "client", "S", seq=0)
    say(scene, "server", flags, seq=2**31, ack=ack)
    assert scene.state() == state


@pytest.mark.parametrize("forward", ["dsr", "ipip", "gue"])
def test_section_3_one_side_is_enough_to_know_its_window(forward: str) -> None:
    """Where replies go another way, the client's resets are checked by the client's stream."""
    scene = routed(server_port=0, n_servers=1, forward=forward)
    for flags, seq in (("S", 0), ("A", 1), ("R", 2**30)):
        scene.client.send(scene.request(flags, seq=(ISN["client"] + seq) % 2**32))
    assert scene.state() == "ESTABLISHED"
    scene.client.send(scene.request("R", seq=ISN["client"] + 1))
    assert scene.state() == "CLOSED"


@BOTH
@pytest.mark.parametrize(("flags", "ack", "state"), [("R", 0, "ESTABLISHED"), ("RA", 2**30, "ESTABLISHED"),
                                                     ("RA", 1, "CLOSED")])
def test_section_3_a_server_not_heard_resets_only_what_it_acknowledges(family, flags, ack, state) -> None:
    """Anybody may send in the name of a VIP whose server's packets do not come by."""
    scene = transparent(family, server_port=0, n_servers=1, forward="dsr")
    for one, seq in (("S", 0), ("A", 1)):
        scene.client.send(scene.request(one, seq=(ISN["client"] + seq) % 2**32))
    forged = scene.restored(flags, seq=77, ack=(ISN["client"] + ack) % 2**32)
    scene.servers[0].send(forged, to=scene.client.mac)
    assert scene.state() == state
    assert [frame[TCP].flags for frame in scene.net.take("client")] == [flags]
