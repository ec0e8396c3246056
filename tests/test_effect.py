"""What becomes of a server's sessions is told as ext/forward does it; tests/scenarios/test_server_down.py has that."""

from dataclasses import replace

import pytest
from control import control

from swlb.config import Service
from swlb.effect import effect_of, effect_text

FIGURES = {"sessions_active": 2, "sessions_inactive": 1}


def service(protocol: str, on_down: str | None = None) -> Service:
    """A service with that policy."""
    return replace(control().config.services["web"], protocol=protocol, on_down=on_down)


@pytest.mark.parametrize(
    ("of", "effect"),
    [
        (service("tcp"), {"reset": 2, "reschedule": 1}),
        (service("udp"), {"reschedule": 3}),
        *((service("tcp", policy), {policy: 3}) for policy in ("keep", "reschedule", "reset", "drop")),
    ],
)
def test_each_session_meets_one_fate(of: Service, effect: dict[str, int]) -> None:
    assert effect_of(of, FIGURES) == effect


def test_without_sessions_there_is_no_effect() -> None:
    assert effect_of(service("tcp"), {"sessions_active": 0, "sessions_inactive": 0}) == {}


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        ({}, "it has no sessions"),
        ({"reset": 1}, "it has 1 session; at its next packet 1 reset"),
        ({"reset": 2, "reschedule": 1}, "it has 3 sessions; at their next packet 2 reset, 1 rescheduled"),
        ({"keep": 4}, "it has 4 sessions; at their next packet 4 still sent to it"),
    ],
)
def test_the_effect_in_words(effect: dict[str, int], words: str) -> None:
    assert effect_text(effect) == words
