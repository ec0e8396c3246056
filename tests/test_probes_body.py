"""swlb/probes/body.py: what a body decides, however it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swlb.config import Check
from swlb.config.check_values import Pattern, read_pattern
from swlb.probes.body import LOOK_BACK_LEN, Body

PATTERNS = ["ab", "aab", "/a+b/", "/^b/", "/b$/", "/(?:a|b)a\\Z/", "/a(?!b)/", "/\\bab\\b/", "/(?i)AB/"]
patterns = st.none() | st.sampled_from(PATTERNS).map(read_pattern)


@given(
    content=patterns,
    content_not=patterns,
    limit=st.integers(1, 12),
    pieces=st.lists(st.text("ab ", min_size=1, max_size=4).map(str.encode), max_size=6),
)
def test_pieces_decide_what_the_whole_decides(content, content_not, limit, pieces):
    check = Check(type="http", content=content, content_not=content_not, body_limit=limit)
    body, whole = Body(check), b"".join(pieces)[:limit]
    ended_early = any(body.add(piece) for piece in pieces)
    good = (content is None or content.is_in(whole)) and not (content_not is not None and content_not.is_in(whole))
    assert (body.complaint == "") == good
    assert ended_early or bytes(body.kept) == whole


def added(pattern: Pattern, *pieces: bytes) -> list[bool]:
    """After each piece, whether all was decided."""
    body = Body(Check(type="http", content=pattern))
    return [body.add(piece) for piece in pieces]


@pytest.mark.parametrize("text", ["ok", "/o[k]/", "/(?i)OK/"])
def test_a_match_ends_the_probe(text):
    assert added(read_pattern(text), b"o", b"k") == [False, True]


@pytest.mark.parametrize("text", ["/ok$/", r"/ok\Z/", r"/ok\b/", "/ok(?! not)/", "/ok(?<!k)/"])
def test_a_match_that_what_follows_may_undo_does_not(text):
    assert added(read_pattern(text), b"o", b"k") == [False, False]


def test_a_long_match_is_found_at_the_end_if_not_before():
    body = Body(Check(type="http", content=read_pattern("/<.*>/")))
    assert not body.add(b"<")
    assert not body.add(b"x" * (2 * LOOK_BACK_LEN))
    body.add(b">")
    assert body.complaint == ""


def test_a_long_string_is_found_across_pieces():
    text = "x" * LOOK_BACK_LEN + "y" * LOOK_BACK_LEN
    assert added(read_pattern(text), text[:-1].encode(), b"y") == [False, True]
