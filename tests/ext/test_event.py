"""The ring of events against a list."""

import random

import pytest

from swlb._testing_tables import Events
from tests.ext.values import WRAP

ROOM = 1024


@pytest.mark.parametrize("begin", [0, WRAP - 3000], ids=["from the start", "over the wrap of the counters"])
def test_the_ring_does_what_a_list_would(begin: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    events, model, lost = Events(), [], 0
    events.begin_at(begin)
    for n in range(20_000):
        # Now more come than are taken, now fewer.
        if choose.random() < (0.8 if n // 4000 % 2 == 0 else 0.2):
            events.post(n % 6, n)
            if len(model) < ROOM:
                model.append((n % 6, n))
            else:
                lost += 1
        else:
            assert events.take() == (model.pop(0) if model else None), f"seed {seed}, step {n}"
    assert events.lost == lost
    assert lost > 0, f"seed {seed}"


def test_a_full_ring_keeps_the_oldest_and_counts_the_rest() -> None:
    events = Events()
    for n in range(ROOM + 5):
        events.post(0, n)
    assert events.take() == (0, 0)
    assert events.lost == 5
