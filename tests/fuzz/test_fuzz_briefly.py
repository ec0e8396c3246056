"""A short run of the fuzzer in the ordinary build; the long one, under sanitizers, is `make fuzz`."""

from collections.abc import Callable

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.shapes import SHAPES, Shape


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_spoilt_frames_leave_tables_sound_and_are_accounted_for(make: Callable[[], Shape]) -> None:
    outcome = fuzz(make, seed=20240607, frames=66_667, seconds=60)
    assert outcome.frames == 66_667
    # A plain switch touches nothing.
    assert (outcome.merged > 10) == (outcome.shape != "switch")
    # These have a port that takes no offloads.
    assert (outcome.pieces > 10) == (outcome.shape in {"routed", "switch", "pointed"})
