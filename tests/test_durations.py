"""Durations in text and back."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb.durations import SECONDS, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2), ("1m", 60), ("1h", 3600), ("2h4m", 7440), ("10d", 864_000), ("1.5s", 1.5), ("0s", 0)],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_a_bare_0_needs_no_unit() -> None:
    assert parse_duration(0) == 0


@pytest.mark.parametrize(
    "value",
    [1, 1.5, True, None, [], "", "5", "s", "-1s", "1 s", "1s1m", "1m1m", "1S", ".5s", "1.s", "1e3s", "١s", "5sec"],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(value)


@given(counts=st.lists(st.integers(0, 10**9 - 1), min_size=len(SECONDS), max_size=len(SECONDS)))
def test_units_add_up(counts: list[int]) -> None:
    text = "".join(f"{count}{unit}" for count, unit in zip(counts, SECONDS, strict=True))
    milliseconds = sum(count * round(SECONDS[unit] * 1000) for count, unit in zip(counts, SECONDS, strict=True))
    assert parse_duration(text) == pytest.approx(milliseconds / 1000, rel=1e-12)


@given(milliseconds=st.integers(0, 10 * 86_400_000))
def test_text_of_a_duration_reads_as_the_same_duration(milliseconds: int) -> None:
    assert parse_duration(duration_text(milliseconds / 1000)) == milliseconds / 1000


@given(text=st.text(alphabet="0123456789.dhms -", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(7440, "2h4m"), (1.5, "1.5s"), (0.25, "250ms"), (90, "1m30s"), (0, "0s"), (59.9996, "1m")]
)
def test_a_duration_is_written_as_one_would(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
