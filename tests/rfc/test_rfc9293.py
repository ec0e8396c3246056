"""RFC 9293, TCP: the resets that swlb sends itself, each of which its receiver has to believe; scapy reads them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scenarios.balanced import Scene, ip, routed
from tests.scenarios.frames import TCP
from tests.scenarios.test_masquerade import Scene as Masqueraded

BOTH = pytest.mark.parametrize("family", [4, 6])
NUMBERS = st.one_of(st.sampled_from((0, 1, 2**31, 2**32 - 1)), st.integers(0, 2**32 - 1))
MOD = 2**32
# One scene for all examples: a refused segment leaves nothing behind.
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
SCENES = {family: routed(family, n_servers=1, ready=(0,)) for family in (4, 6)}


def refused(scene: Scene, flags: str, **fields: object) -> TCP | None:
    """The TCP header of the reset that the client's segment of no session got; None when it got nothing."""
    scene.client.send(scene.request(flags, **fields))
    frames = scene.net.take("client")
    assert len(frames) <= 1
    assert scene.net.take("server0") == []
    return frames[0][TCP] if frames else None


@BOTH
@EXAMPLES
@given(flags=st.sampled_from(("A", "PA", "FA", "SA", "FPA")), seq=NUMBERS, ack=NUMBERS, size=st.integers(0, 1400))
def test_section_3_10_7_1_what_acknowledges_is_reset_at_its_acknowledgement(family, flags, seq, ack, size) -> None:
    """A segment with ACK is answered by <SEQ=SEG.ACK><CTL=RST>, and nothing is acknowledged."""
    reset = refused(SCENES[family], flags, seq=seq, ack=ack, payload=bytes(size))
    assert (reset.flags, reset.seq, reset.ack, reset.window, reset.dataofs) == ("R", ack, 0, 0, 5)


@BOTH
@EXAMPLES
@given(flags=st.sampled_from(("S", "F", "P", "", "SF")), seq=NUMBERS, size=st.integers(0, 1400))
def test_section_3_10_7_1_what_acknowledges_nothing_is_reset_at_0_and_acknowledged(family, flags, seq, size) -> None:
    """A segment without ACK is answered by <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>; SYN and FIN count as one each."""
    reset = refused(SCENES[family], flags, seq=seq, payload=bytes(size))
    length = size + ("S" in flags) + ("F" in flags)
    assert (reset.flags, reset.seq, reset.ack) == ("RA", 0, (seq + length) % MOD)


@BOTH
@EXAMPLES
@given(flags=st.sampled_from(("R", "RA", "RS", "RFA")), seq=NUMBERS, ack=NUMBERS)
def test_section_3_10_7_1_a_reset_is_never_answered(family, flags, seq, ack) -> None:
    """Two ends that know nothing of each other do not reset each other for ever."""
    assert refused(SCENES[family], flags, seq=seq, ack=ack) is None


@BOTH
def test_section_3_10_7_4_both_ends_believe_the_reset_of_a_server_that_went_down(family: int) -> None:
    """Each end is reset at the number that it expects next, as it takes no other for the other end's (RFC 5961 3.2)."""
    scene = routed(family, n_servers=1)
    scene.open(seq=1000, ack=0)
    scene.call("PA", seq=1001, ack=5001, payload=b"question")
    scene.net.set_server(0, ready=0)
    scene.client.send(scene.request("PA", seq=1009, ack=5001, payload=b"more"))
    assert (scene.client.take_one()[TCP].flags, scene.sessions()) == ("R", [])
    scene.net.wait(0.2)
    told = [frame[TCP] for frame in scene.net.take("server0") if TCP in frame]
    assert [(reset.flags, reset.seq) for reset in told] == [("R", 1009)]


@BOTH
def test_section_3_10_7_4_the_client_is_reset_in_the_place_of_what_the_server_sent(family: int) -> None:
    """The client's reset has the number of the server's segment, the server's the number that acknowledged."""
    scene = routed(family, n_servers=1)
    scene.open()
    scene.net.set_server(0, ready=0)
    scene.send_reply(0, "PA", seq=7001, ack=301, payload=b"late")
    reset = scene.client.take_one()[TCP]
    assert (reset.flags, reset.seq, len(reset.payload)) == ("R", 7001, 0)
    scene.net.wait(0.2)
    assert [frame[TCP].seq for frame in scene.net.take("server0") if TCP in frame] == [301]


@BOTH
@pytest.mark.parametrize("orphans", ["reset", "drop"])
def test_section_3_10_7_1_an_orphan_is_told_or_not_as_the_service_says(family: int, orphans: str) -> None:
    """A client in mid-stream of no session is reset at its acknowledgement, unless `orphans: drop`."""
    scene = routed(family, n_servers=1, orphans=orphans)
    reset = refused(scene, "PA", seq=77, ack=4242, payload=b"x")
    assert (reset and (reset.flags, reset.seq)) == (("R", 4242) if orphans == "reset" else None)
    assert scene.net.drops() == {"orphan": 1}


@BOTH
def test_section_3_10_7_1_a_segment_in_mid_stream_of_a_masqueraded_host_is_reset(family: int) -> None:
    """So is a host's whose flow is forgotten: it was somebody else outside, and has to begin anew."""
    scene = Masqueraded(family)
    scene.inside.send(ip(scene.host, scene.peer) / TCP(sport=5000, dport=53, flags="FA", seq=MOD - 1, ack=9))
    reset = scene.inside.take_one()[TCP]
    assert (reset.flags, reset.seq, reset.ack) == ("R", 9, 0)
