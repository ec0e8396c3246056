"""A flood of SYNs as several workers see it is one flood."""

from swlb.floods import Floods


def test_a_flood_begins_with_the_first_worker_and_ends_with_the_last_and_their_sum() -> None:
    floods = Floods()
    assert [floods.begin("web"), floods.begin("web"), floods.begin("dns")] == [True, False, True]
    assert floods.end("web", 5) is None
    assert floods.begin("web") is False
    assert floods.end("web", 6) is None
    assert floods.end("dns", 1) == 1
    assert floods.end("web", 7) == 18


def test_the_next_flood_begins_anew() -> None:
    floods = Floods()
    floods.begin("web")
    assert floods.end("web", 5) == 5
    assert floods.begin("web")
    assert floods.end("web", 2) == 2
