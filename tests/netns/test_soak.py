"""A short soak; `make soak` is the long one."""

import random

import pytest

from netns.soak import MIXED, run

pytestmark = pytest.mark.root

SECONDS = 5.0


def test_all_frames_are_accounted_for_and_nobody_fails_in_a_short_soak():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    soak, figures = run(SECONDS, MIXED, seed=seed, say=print)
    assert soak.wrong == []
    assert figures["in"] > 1000
    assert soak.book.done.total() > 100
