"""Every scheduler against its twin in plain Python, over random steps: a million in all."""

import random

import pytest

from tests.ext.scheduled import CLOSED, CLOSING, Pair, any_change
from tests.oracle.schedule import SCHEDULERS, TwoChoices

STEPS = 1_000_000 // len(SCHEDULERS) + 1
MOST_ALIVE = 60
# As often as they come in life: many sessions, few changes.
CHOOSE, ESTABLISH, CLOSE, END, CHANGE = range(5)
OFTEN = (CHOOSE,) * 45 + (ESTABLISH,) * 25 + (CLOSE,) * 13 + (END,) * 14 + (CHANGE,) * 3


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_twin_agrees_whatever_comes_and_goes(scheduler: str) -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    pair = Pair(scheduler, (1, 3, 2, 7, 1, 4, 2), backups=frozenset({4, 5}))
    if isinstance(pair.twin, TwoChoices):
        pair.twin.state = seed
        pair.schedule.seed(seed)
    for step in range(STEPS):
        what = choose.choice(OFTEN)
        if what == CHOOSE and len(pair.alive) < MOST_ALIVE:
            named, wanted = pair.choose()
            assert named == wanted, f"seed {seed}, step {step}: {pair.servers}"
            if named is not None:
                pair.begin(named)
        elif what == CHANGE:
            pair.set_server(choose.randrange(len(pair.servers)), **any_change(choose))
        elif pair.alive:
            port = choose.choice(pair.alive)
            if what == ESTABLISH:
                pair.goes_to(port, "ESTABLISHED")
            elif what == CLOSE:
                pair.goes_to(port, choose.choice([CLOSING, CLOSED]))
            else:
                pair.end(port)
        if pair.next_port == 65536:
            pair.next_port = 1
            for port in list(pair.alive):
                pair.end(port)
        if step % 10_000 == 0:
            pair.audit()
    pair.audit()
