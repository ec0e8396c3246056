"""A short run of the fuzzer in the ordinary build; the long one, under sanitizers, is `make fuzz`."""

from collections.abc import Callable

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.shapes import SHAPES, Shape


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_spoilt_frames_leave_tables_sound_and_are_accounted_for(make: Callable[[], Shape]) -> None:
    outcome = fuzz(make, seed=20240607, frames=66_667, seconds=60)
    assert outcome.frames == 66_667
    # A plain switch touches nothing. By the ports of `pointed` few datagrams of a flow leave, now and then none.
    assert outcome.shape == "pointed" or (outcome.merged > 1) == (outcome.shape != "switch")
    assert (outcome.tunnelled > 1000) == (outcome.fragments > 40) == (outcome.shape == "direct")
    # These have a port that takes no offloads, or tunnels, which nobody else cuts for.
    assert (outcome.pieces > 0) == (outcome.shape not in {"transparent", "one_arm", "guarded", "trunked"})
    assert (outcome.tagged > 1000) == (outcome.shape == "trunked")
