"""What happens next to a check, in words."""

from dataclasses import replace

import pytest

from swlb.ahead import what_next
from swlb.check_status import CheckStatus
from swlb.config import Check

STATUS = CheckStatus(
    check=Check(retries=3, rise=2, timeout=5), operational="up", reason="L4OK", since=0.0, check_status="L4OK",
    check_duration_ms=1.0, detail="", next_probe_at=11.4, streak=0, timeout_at=None, strikes_at=None,
    history=(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, "probe in 1.4 s"),
        ({"next_probe_at": None}, "a probe is on its way"),
        ({"next_probe_at": 9.0}, "probe in 0.0 s"),
        ({"streak": 1}, "probe in 1.4 s; down after 2 more failures"),
        ({"streak": 2, "timeout_at": 12.1}, "probe in 1.4 s; down after 1 more failure, or in 2.1 s (timeout)"),
        ({"next_probe_at": None, "streak": 2, "timeout_at": 12.1},
         "a probe is on its way; down after 1 more failure, or in 2.1 s (timeout)"),
        ({"operational": "down"}, "probe in 1.4 s; up after 2 successes in a row"),
        ({"operational": "down", "streak": 1}, "probe in 1.4 s; up after 1 more success"),
        ({"operational": "down", "check": Check(rise=1)}, "probe in 1.4 s; up after 1 success"),
        ({"operational": "down", "check": Check(rise=3), "streak": 1}, "probe in 1.4 s; up after 2 more successes"),
        ({"next_probe_at": 69.94}, "probe in 59.9 s"),
        ({"next_probe_at": 3733.6}, "probe in 1h2m4s"),
        ({"streak": 3, "timeout_at": 9.0, "strikes_at": 13.0},
         "probe in 1.4 s; down in 3.0 s (hold_down), unless a probe forbids it"),
        ({"operational": "down", "streak": 2, "strikes_at": 12.5},
         "probe in 1.4 s; up in 2.5 s (hold_down), unless a probe forbids it"),
        ({"operational": "checking"}, "probe in 1.4 s; its result decides"),
    ],
)  # fmt: skip
def test_what_happens_next(known: dict, words: str) -> None:
    assert what_next(replace(STATUS, **known), 10.0) == words
