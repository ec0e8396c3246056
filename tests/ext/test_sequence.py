"""Sequence numbers of a connection: what is known of each side, against the slow twin over random histories."""

from random import Random

import pytest

from swlb import _testing as c
from tests.oracle.tcp_states import ALONE, CLIENT, SERVER, Connection, Side

DIRECTIONS = {CLIENT: 0, SERVER: 1, ALONE: 2}
BITS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
FLAGS = ("S", "SA", "A", "PA", "FA", "F", "R", "RA")
STEPS = (0, 1, 1000, 65535, 65536, 16 << 16, 17 << 16, 1024 << 16, 1025 << 16, 1 << 31)
DOUBTED, RESET = 1 << 46, 1 << 47
LEN = 40                                            # of every packet


def bits(flags: str) -> int:
    return sum(BITS[flag] for flag in flags)


def number(random: Random, side: Side) -> int:
    """A sequence number at an interesting distance from where the side was last, or any."""
    if side.seq is None or random.random() < 0.1:
        return random.getrandbits(32)
    near = side.seq if random.random() < 0.5 else side.seq // 65536 * 65536
    return (near + random.choice((-1, 1)) * random.choice(STEPS) + random.choice((-1, 0, 0, 1))) % (1 << 32)


def known(side: Side, words: list[int], at: int) -> tuple[object, object]:
    """What the twin and the word say of a side: block, doubt, reset; nothing of one that was not heard."""
    word = words[at]
    if side.seq is None:
        return None, None if word % (1 << 46) == 0 else word
    return ((side.seq >> 16, side.doubted, side.reset),
            (word >> 48, bool(word & DOUBTED), bool(word & RESET)))


@pytest.mark.parametrize("seed", range(8))
def test_every_segment_of_a_random_history_is_judged_as_by_the_twin(seed: int) -> None:
    random = Random(seed)
    for history in range(300):
        direct = random.random() < 0.4
        twin, words, state, said = Connection(direct=direct), [0, 0], "NONE", []
        for _ in range(random.randrange(4, 24)):
            from_client = CLIENT if twin.sides[SERVER].seq is not None or not direct else ALONE
            direction = random.choice((from_client, SERVER)) if said else from_client
            flags = random.choice(FLAGS) if said else "S"
            side = twin.sides[SERVER if direction == SERVER else CLIENT]
            other = twin.sides[CLIENT if direction == SERVER else SERVER]
            seq, ack = number(random, side), number(random, other)
            said.append((direction, flags, seq, ack))
            believed = twin.segment(direction, flags, seq, ack)
            got = c.STATES[c.sequence_state(words, seq, ack, bits(flags), c.STATES.index(state),
                                            DIRECTIONS[direction], direct)]
            assert got == (twin.state if believed else "NONE"), (seed, history, said)
            if believed:
                state = got
                words[direction == SERVER] += LEN
            for at, name in enumerate((CLIENT, SERVER)):
                wanted, found = known(twin.sides[name], words, at)
                assert found == wanted, (seed, history, name, said)


def test_counting_never_reaches_the_block() -> None:
    words = [(1 << 46) - LEN, 0]
    state = c.STATES.index("SYN_RECV")
    assert c.sequence_state(words, 0xABCD0000, 0, bits("S"), state, 0) == state
    assert words[0] >> 48 == 0xABCD
    assert (words[0] + LEN) >> 48 == 0xABCD
