"""Two ends of a TCP connection in plain Python: enough of RFC 9293 and RFC 5961 to live, to close and to be attacked.

No windows, timers or congestion: an end takes what is next in order, acknowledges everything, and says again what is
not acknowledged when it is told to. It believes a reset only at the very number it expects.
"""

from dataclasses import dataclass, field

MOD = 2**32
WINDOW = 65535


@dataclass(frozen=True)
class Segment:
    """What matters of one; `size` bytes of payload."""

    flags: str
    seq: int
    ack: int = 0
    size: int = 0

    @property
    def length(self) -> int:
        return self.size + ("S" in self.flags) + ("F" in self.flags)


@dataclass
class End:
    """One end. What it wants to say is in `out`, in the order in which it said it."""

    isn: int
    una: int = 0                   # counted from isn, as `next`
    next: int = 0
    expected: int | None = None    # the other's number that comes next; None: not heard
    fin: int | None = None         # where its own FIN is
    heard_fin: bool = False
    dead: bool = False             # nobody is there any more: what comes is reset
    out: list[Segment] = field(default_factory=list)
    unacked: list[Segment] = field(default_factory=list)

    def say(self, flags: str, size: int = 0) -> None:
        """Something that takes a place in its stream, or that does not, at the place it has got to."""
        acks = self.expected is not None
        segment = Segment(flags + ("A" if acks and flags != "R" else ""), (self.isn + self.next) % MOD,
                          self.expected if acks and flags != "R" else 0, size)
        self.out.append(segment)
        if segment.length and "R" not in flags:
            self.unacked.append(segment)
            self.next += segment.length

    @property
    def established(self) -> bool:
        return not self.dead and self.una > 0 and self.expected is not None

    def send(self, size: int) -> None:
        if self.established and self.fin is None:
            self.say("P", size)

    def close(self) -> None:
        if self.established and self.fin is None:
            self.fin = self.next
            self.say("F")

    def abort(self) -> None:
        """The program is killed."""
        if self.established:
            self.say("R")
            self.dead = True

    def again(self) -> None:
        """What is not acknowledged is said once more; that it is there, if nothing is."""
        if not self.dead:
            self.out += [self.renewed(segment) for segment in self.unacked]
            if not self.unacked and self.expected is not None:
                self.say("")

    def renewed(self, segment: Segment) -> Segment:
        """The same with the acknowledgement of today."""
        if self.expected is None:
            return segment
        return Segment(segment.flags.replace("A", "") + "A", segment.seq, self.expected, segment.size)

    def hear(self, segment: Segment) -> None:
        """The segment has arrived."""
        if self.dead:
            self.reset(segment)
        elif self.expected is None:
            self.begin(segment)
        elif "R" in segment.flags:
            self.hear_reset(segment)
        elif "S" in segment.flags:
            self.hear_syn(segment)
        elif "A" in segment.flags and self.acknowledge(segment):
            self.take(segment)

    def reset(self, segment: Segment) -> None:
        """Nobody is here."""
        if "R" in segment.flags:
            return
        if "A" in segment.flags:
            self.out.append(Segment("R", segment.ack))
        else:
            self.out.append(Segment("RA", 0, (segment.seq + segment.length) % MOD))

    def begin(self, segment: Segment) -> None:
        """In SYN-SENT or LISTEN."""
        asked = self.next > 0
        right = "A" in segment.flags and segment.ack == (self.isn + self.next) % MOD
        if "R" in segment.flags:
            self.dead = asked and right
        elif "S" in segment.flags and (right or not asked) and ("A" in segment.flags) == asked:
            self.expected = (segment.seq + 1) % MOD
            if asked:
                self.acknowledge(segment)
                self.say("")
            else:
                self.say("S")

    def hear_reset(self, segment: Segment) -> None:
        """RFC 5961 3.2: exactly right, or challenged, or nothing."""
        if segment.seq == self.expected:
            self.dead = True
        elif (segment.seq - self.expected) % MOD < WINDOW:
            self.say("")

    def hear_syn(self, segment: Segment) -> None:
        """RFC 5961 4.2: the SYN of this connection once more, or challenged as any other."""
        if self.una == 0 and segment.seq == (self.expected - 1) % MOD:
            self.again()
        else:
            self.say("")

    def acknowledge(self, segment: Segment) -> bool:
        """Whether it acknowledges something that was sent; what it does is done with."""
        count = (segment.ack - self.isn) % MOD
        if count > self.next:
            self.say("")
            return False
        if count > self.una:
            self.una = count
            self.unacked = [s for s in self.unacked if (s.seq + s.length - self.isn) % MOD > count]
        return True

    def take(self, segment: Segment) -> None:
        """The payload that comes next is taken; anything else is answered by what is wanted."""
        if segment.seq == self.expected and segment.length:
            self.expected = (self.expected + segment.length) % MOD
            self.heard_fin |= "F" in segment.flags
        if segment.length or segment.seq != self.expected:
            self.say("")

    @property
    def is_done(self) -> bool:
        """Closed in both directions, as far as it knows."""
        return self.fin is not None and self.una > self.fin and self.heard_fin
