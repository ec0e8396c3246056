"""Whole lives of TCP connections, with loss, reordering, repetition and forged segments, past a session in the middle.

RFC 5382 REQ-2 (what two ends may say to each other passes), RFC 5961 (what others say harms nobody). Two ends of
tests/oracle/tcp_ends.py talk; every segment is judged by tests/oracle/tcp_states.py beside the session.
"""

from dataclasses import replace
from random import Random

import pytest

from tests.oracle.tcp_ends import MOD, End, Segment
from tests.oracle.tcp_states import CLIENT, SERVER, Connection
from tests.scenarios.balanced import Scene, routed
from tests.scenarios.frames import TCP

TIMEOUTS = {"tcp_syn": 15.0, "tcp_established": 60.0, "tcp_fin": 20.0, "tcp_closed": 10.0}
OF_STATE = {"SYN_SENT": 15, "SYN_RECV": 15, "ESTABLISHED": 60, "CLOSED": 10}      # others: 20
LOST = 0.05
STEPS = 110
PAUSE_S = 2                                         # as often as this a live end says something


class History:
    """A connection under way: both ends, what is between them and swlb, the session, and its twin."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.scene: Scene = routed(6 if seed % 4 == 3 else 4, n_servers=1, timeouts=TIMEOUTS, orphans="drop")
        self.ends = {side: End(self.random.getrandbits(32)) for side in (CLIENT, SERVER)}
        self.way: dict[str, list[Segment]] = {CLIENT: [], SERVER: []}
        self.twin = Connection()
        self.counted_ns = self.scene.net.now_ns
        self.said: list[tuple] = []

    def live(self) -> bool:
        """Whether both ends are there and have more to say to each other."""
        return not any(end.dead for end in self.ends.values()) and not all(end.is_done for end in self.ends.values())

    def collect(self) -> None:
        """What the ends have said is on its way, unless it got lost."""
        for side, end in self.ends.items():
            self.way[side] += [segment for segment in end.out if self.random.random() >= LOST]
            end.out.clear()

    def cross(self, side: str, segment: Segment, *, forged: bool = False) -> None:
        """The segment reaches swlb, and the other end what swlb makes of it."""
        live, other = self.live(), CLIENT if side == SERVER else SERVER
        fields = {"flags": segment.flags, "seq": segment.seq, "ack": segment.ack, "payload": bytes(segment.size)}
        self.said.append((side, forged, segment))
        if side == CLIENT:
            self.scene.client.send(self.scene.request(**fields))
        else:
            self.scene.servers[0].send(self.scene.reply(0, **fields))
        arrived = [frame[TCP] for frame in self.scene.net.take("client" if other == CLIENT else "server0")]
        if live:
            assert [(tcp.seq, tcp.ack, str(tcp.flags)) for tcp in arrived] == [
                (segment.seq, segment.ack, str(TCP(flags=segment.flags).flags))], self.said
        if self.scene.sessions():
            if self.twin.segment(side, segment.flags, segment.seq, segment.ack):
                self.counted_ns = self.scene.net.now_ns
            assert self.scene.state() == self.twin.state, self.said
            assert self.scene.session()["idle_ms"] == (self.scene.net.now_ns - self.counted_ns) // 10**6, self.said
        if arrived and self.random.random() >= LOST:
            self.ends[other].hear(segment)
            self.collect()

    def deliver(self) -> None:
        """One of the next three on a way arrives, some twice."""
        side = self.random.choice([side for side in self.way if self.way[side]] or [CLIENT])
        if self.way[side]:
            way = self.way[side]
            segment = way.pop(self.random.randrange(min(3, len(way))))
            self.cross(side, segment)
            if self.random.random() < LOST:
                self.cross(side, segment)

    def forge(self) -> None:
        """A stranger sends what it takes for a segment of the connection; it has not seen one."""
        side, random = self.random.choice((CLIENT, SERVER)), self.random
        if side == CLIENT and self.twin.state in ("SYN_RECV", "FIN_WAIT", "CLOSE_WAIT", "TIME_WAIT", "CLOSED"):
            flags = random.choice(("R", "RA"))      # a SYN or a FIN would do what it says
        elif self.twin.state == "ESTABLISHED":
            flags = random.choice(("R", "RA", "S", "SA", "PA"))
        else:
            flags = "R"
        self.cross(side, Segment(flags, random.getrandbits(32), random.getrandbits(32)), forged=True)

    def forge_well(self) -> None:
        """One who is lucky: the reset closes the session, and the connection has to outlive that."""
        side = self.random.choice((CLIENT, SERVER))
        end = self.ends[side]
        self.cross(side, Segment("R", (end.isn + end.next + 1 + self.random.randrange(1000)) % MOD), forged=True)

    def pause(self) -> None:
        """Time passes, and who is there says so."""
        self.scene.net.wait(PAUSE_S, step=PAUSE_S)
        self.scene.greet()
        for end in self.ends.values():
            end.again()
        self.collect()

    def step(self) -> None:
        random = self.random
        end = self.ends[random.choice((CLIENT, SERVER))]
        what = random.random()
        if what < 0.55:
            self.deliver()
        elif what < 0.75:
            end.send(random.choice((1, 500, 1400)))
        elif what < 0.85:
            self.forge()
        elif what < 0.95:
            self.pause()
        elif what < 0.97 and self.ends[CLIENT].established and self.ends[SERVER].established:
            self.forge_well()
        elif what < 0.985:
            end.close()
        elif what < 0.99:
            end.abort()
        self.collect()


@pytest.mark.parametrize("seed", range(16))
def test_no_live_connection_ends_and_no_dead_one_stays(seed: int) -> None:
    """While both ends live everything passes, whoever resets; afterwards the session is gone when its state says."""
    history = History(seed)
    history.ends[CLIENT].say("S")
    first = history.ends[CLIENT].out.pop()
    history.cross(CLIENT, first)
    for _ in range(STEPS):
        history.step()
    history.scene.net.wait(OF_STATE.get(history.twin.state, 20) + 1.5, step=0.5)
    assert history.scene.sessions() == []


def test_the_ends_do_open_talk_and_close() -> None:
    """Without loss and strangers the two ends do what TCP does; so the histories are those of connections."""
    ends = {CLIENT: End(MOD - 3), SERVER: End(77)}
    ends[CLIENT].say("S")
    for _ in range(40):
        for side, other in ((CLIENT, SERVER), (SERVER, CLIENT)):
            for segment in ends[side].out[:]:
                ends[side].out.remove(segment)
                ends[other].hear(replace(segment))
        if ends[CLIENT].established and ends[CLIENT].next < 4000:
            ends[CLIENT].send(1000)
    assert ends[SERVER].expected == (MOD - 3 + ends[CLIENT].next) % MOD
    for side, other in ((CLIENT, SERVER), (SERVER, CLIENT)):
        ends[side].close()
        for _ in range(4):
            for one, two in ((side, other), (other, side)):
                for segment in ends[one].out[:]:
                    ends[one].out.remove(segment)
                    ends[two].hear(segment)
    assert all(end.is_done for end in ends.values())
    ends[CLIENT].abort()
    ends[SERVER].hear(ends[CLIENT].out[-1])
    assert ends[SERVER].dead
