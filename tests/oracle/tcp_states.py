"""How IPVS follows a TCP connection through NAT or from one side, transcribed by hand from its description, row by row.

Each row says which states change and to what; a state that is not named stays. A SYN-ACK counts as SYN; a reset goes
before SYN, SYN before FIN, FIN before the rest. LISTEN and SYNACK, which swlb does not have, are left out.

What IPVS does not have: a Connection looks at sequence numbers, too, and believes no reset that cannot be right.
"""

from dataclasses import dataclass, field

CLIENT, SERVER = "client", "server"
ALONE = "client of a server that is not heard"
STATES = ("SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED")
CLASSES = {"S": "SYN", "SA": "SYN", "F": "FIN", "FA": "FIN", "A": "ACK", "PA": "ACK", "R": "RST", "RA": "RST"}
SHORT = {"SS": "SYN_SENT", "SR": "SYN_RECV", "ES": "ESTABLISHED", "FW": "FIN_WAIT", "CW": "CLOSE_WAIT",
         "LA": "LAST_ACK", "TW": "TIME_WAIT", "CL": "CLOSED"}

ROWS = {
    (CLIENT, "SYN"): "SR FW TW CL CW LA > SR; SS > ES",
    (CLIENT, "FIN"): "ES > CW; SR FW > TW",
    (CLIENT, "ACK"): "SR > ES; LA > CL",
    (CLIENT, "RST"): "SS ES FW CW TW CL > CL",
    (SERVER, "SYN"): "FW TW CL CW LA > SS",
    (SERVER, "FIN"): "SR CW > TW; ES > FW",
    (SERVER, "ACK"): "",
    (SERVER, "RST"): "SR ES FW CW LA CL > CL",
    (ALONE, "SYN"): "SR FW TW CL CW LA > SR; SS > ES",
    (ALONE, "FIN"): "ES > FW; SR TW > TW",
    (ALONE, "ACK"): "SR > ES; LA > CL",
    (ALONE, "RST"): "ES SS FW TW CL CW > CL",
}


def row(text: str) -> dict[str, str]:
    """The changes one row speaks of."""
    changes = {}
    for clause in filter(None, (part.strip() for part in text.split(";"))):
        states, target = clause.split(">")
        changes.update({SHORT[state]: SHORT[target.strip()] for state in states.split()})
    return changes


def next_state(state: str, direction: str, flags: str) -> str:
    """The state after a segment with these flags (as scapy writes them) from that side."""
    return row(ROWS[direction, CLASSES[flags]]).get(state, state)


def after_reset(state: str, direction: str, flags: str, who_reset: str | None) -> str:
    """The same where one side has reset the connection: if that goes on, it was not its reset."""
    revives = state == "CLOSED" and direction == who_reset and flags in ("A", "PA", "FA")
    return next_state("ESTABLISHED" if revives else state, direction, flags)


def ways(*sides: str) -> dict[str, list[tuple[str, str]]]:
    """A shortest way to every state that segments of those sides lead to: (direction, flags) after the first SYN."""
    found: dict[str, list[tuple[str, str]]] = {"SYN_RECV": []}
    while True:
        longer = {next_state(state, direction, flags): [*way, (direction, flags)]
                  for state, way in found.items() for direction in sides for flags in CLASSES}
        new = {state: way for state, way in longer.items() if state not in found}
        if not new:
            return found
        found.update(new)


BLOCK = 1 << 16
BEFORE = ("NONE", "SYN_SENT", "SYN_RECV")            # no connection is established yet


def blocks_between(behind: int, ahead: int) -> int:
    """How many blocks of 64 KiB one sequence number is ahead of another, the shorter way round."""
    distance = (ahead // BLOCK - behind // BLOCK) % BLOCK
    return distance - BLOCK if distance >= BLOCK // 2 else distance


@dataclass
class Side:
    """What is known of one side's stream."""

    seq: int | None = None     # some number in the block it has got to; None: it was not heard
    doubted: bool = False
    reset: bool = False

    def may_be_at(self, seq: int, behind: int = 16) -> bool:
        return self.seq is not None and -behind <= blocks_between(self.seq, seq) <= 1


@dataclass
class Connection:
    """The state, and what is known of both sides, from the client's SYN on; `direct`: the server is not translated."""

    state: str = "NONE"
    direct: bool = False
    sides: dict[str, Side] = field(default_factory=lambda: {CLIENT: Side(), SERVER: Side()})

    def segment(self, direction: str, flags: str, seq: int, ack: int) -> bool:
        """Whether the segment counts; then the state is that after it."""
        name = CLIENT if direction == ALONE else direction
        side, other = self.sides[name], self.sides[SERVER if name == CLIENT else CLIENT]
        names_other = "A" in flags and other.may_be_at(ack)
        if "R" in flags:
            if not self.believes(side, other, flags, seq, names_other):
                return False
            self.state = next_state(self.state, direction, flags)
            side.reset |= self.state == "CLOSED"
            side.seq = seq if side.seq is None else side.seq
            return True
        revived = self.state == "CLOSED" and side.reset and "A" in flags and "S" not in flags
        begins = side.seq is None or self.state in BEFORE or ("S" in flags and self.state != "ESTABLISHED")
        again = "S" in flags and "A" in flags and other.seq is not None and other.doubted
        distance = 0 if begins else blocks_between(side.seq, seq)
        if begins or 0 < distance <= 16 or (not -1024 <= distance <= 0 and (names_other or again)):
            side.seq, side.doubted, side.reset = seq, False, False
        elif -1024 <= distance <= 0:
            side.doubted = side.reset = False
        else:
            side.doubted, revived = True, False
        self.state = "SYN_RECV" if self.state == "NONE" else next_state("ESTABLISHED" if revived else self.state,
                                                                        direction, flags)
        return True

    def believes(self, side: Side, other: Side, flags: str, seq: int, names_other: bool) -> bool:
        """Whether the reset is the side's own, as far as one can know."""
        if side.may_be_at(seq):
            return True
        if side.seq is not None and self.state not in BEFORE:
            return False
        if other.seq is None:
            return True
        return names_other if "A" in flags else self.state not in BEFORE and not self.direct
