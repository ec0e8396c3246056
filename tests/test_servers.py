"""Orders for a server, in words, and what its two states mean for new sessions."""

import pytest
from control import control

from swlb.servers import read_order


@pytest.mark.parametrize("word", ["ready", "drain", "maint"])
def test_an_admin_state_leaves_the_weight(word):
    assert read_order(word, 5) == (word, None)


@pytest.mark.parametrize(
    ("words", "configured", "weight"),
    [("weight=0", 5, 0), ("weight=7", 5, 7), ("weight=65535", 5, 65535), ("weight=50%", 4, 2), ("weight=0%", 4, 0),
     ("weight=150%", 4, 6), ("weight=100%", 0, 0), ("weight=34%", 3, 1), ("weight=50%", 1, 1),
     ("weight=50%", 5, 3), ("weight=50%", 3, 2), ("weight=1%", 10, 1), ("weight=1%", 149, 1), ("weight=1%", 150, 2),
     ("weight=0%", 0, 0), ("weight=50%", 0, 0), ("weight=100%", 65535, 65535), ("weight=65535%", 100, 65535)],
)  # fmt: skip
def test_a_weight_leaves_the_admin_state(words, configured, weight):
    assert read_order(words, configured) == (None, weight)


@pytest.mark.parametrize("words", ["", "up", "Ready", " ready", "weight", "weight=", "weight=%", "weight=-1",
                                   "weight=+1", "weight=1.5", "weight=1%%", "weight=²", "weight=1_0",
                                   "drain=1"])  # fmt: skip
def test_other_words_are_no_order(words):
    with pytest.raises(ValueError, match="expected ready, drain, maint, weight=N or weight=N%"):
        read_order(words, 1)


@pytest.mark.parametrize(("words", "configured"), [("weight=65536", 1), ("weight=200%", 65535)])
def test_a_weight_has_a_limit(words, configured):
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        read_order(words, configured)


@pytest.mark.parametrize(
    ("operational", "admin", "effective", "serves"),
    [("up", "ready", 4, True), ("up", "drain", 0, True), ("up", "maint", 0, False), ("down", "ready", 0, False),
     ("down", "drain", 0, False), ("checking", "ready", 0, False)],
)  # fmt: skip
def test_both_states_decide_who_takes_new_sessions(operational, admin, effective, serves):
    server = control().server("web1")
    server.operational, server.admin = operational, admin
    assert (server.effective_weight, server.serves) == (effective, serves)
