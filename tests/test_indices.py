"""Who has which index after a reload."""

import random

import pytest
from control import CONFIG

from swlb.config import Config, parse
from swlb.indices import Indices, Places

VIA_VIP = CONFIG.replace("{type: tcp, initial: up}", "{type: tcp, via: vip, initial: up}")
WITHOUT_DNS = VIA_VIP[: VIA_VIP.index("  dns:")]
DNS = VIA_VIP[VIA_VIP.index("  dns:") :]


def config(text: str) -> Config:
    return parse(text, file="test.yaml")


def never(_: int) -> bool:
    return False


def always(_: int) -> bool:
    return True


def test_at_first_they_are_in_order():
    places = Places().next("abc", is_used=never)
    assert places.present == {"a": 0, "b": 1, "c": 2}
    assert (places.left, places.size) == ({}, 3)


def test_what_stays_keeps_its_own_in_any_order():
    places = Places().next("abc", is_used=never).next("cba", is_used=never)
    assert places.present == {"c": 2, "b": 1, "a": 0}
    assert list(places.present) == ["c", "b", "a"]


def test_what_comes_takes_no_place_that_was_anybodys_until_now():
    places = Places().next("abc", is_used=never).next("axy", is_used=never)
    assert places.present == {"a": 0, "x": 3, "y": 4}
    assert places.left == {1: "b", 2: "c"}


def test_a_place_is_free_after_a_reload_when_nobody_uses_it():
    places = Places().next("abc", is_used=never).next("a", is_used=never)
    assert places.next("ax", is_used=never).present == {"a": 0, "x": 1}
    used = places.next("ax", is_used=lambda index: index == 1)
    assert (used.present, used.left) == ({"a": 0, "x": 2}, {1: "b"})
    assert places.next("ax", is_used=always).present == {"a": 0, "x": 3}


def test_who_comes_back_is_somebody_new():
    places = Places().next("abc", is_used=never).next("c", is_used=never)
    back = places.next("ab", is_used=always)
    assert (back.present, back.left) == ({"a": 3, "b": 4}, {0: "a", 1: "b", 2: "c"})
    again = back.next("c", is_used=always).next("a", is_used=always)
    assert again.left == {0: "a", 1: "b", 2: "c", 3: "a", 4: "b", 5: "c"}
    assert again.present == {"a": 6}


def test_the_size_never_shrinks():
    places = Places().next("abc", is_used=never).next("a", is_used=never).next("a", is_used=never)
    assert (places.present, places.left, places.size) == ({"a": 0}, {}, 3)


def test_without_other_room_what_comes_takes_the_place_of_what_leaves():
    places = Places().next("abc", is_used=never, room=4).next("axyz", is_used=never, room=4)
    assert sorted(places.present.values()) == [0, 1, 2, 3]
    assert places.present["x"] == 3
    assert places.left == {}


def test_more_than_there_is_room_for_is_refused():
    with pytest.raises(ValueError, match="room for 2"):
        Places().next("abc", is_used=never, room=2)


def test_whatever_happens_no_two_share_a_place():
    """Random reloads: one owner a place, who stays keeps it, and nobody's place was somebody's just before."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    places: Places[int] = Places()
    for step in range(300):
        wanted = chance.sample(range(30), chance.randrange(1, 12))
        used = {index for index in places.left if chance.random() < 0.4}
        after = places.next(wanted, is_used=used.__contains__)
        where = f"seed {seed}, step {step}"
        assert list(after.present) == wanted, where
        everybody = [*after.present.values(), *after.left]
        assert len(set(everybody)) == len(everybody), where
        assert max(everybody) < after.size >= places.size, where
        assert all(after.present[key] == places.present[key] for key in wanted if key in places.present), where
        new = {after.present[key] for key in wanted if key not in places.present}
        assert not new & set(places.present.values()), where
        assert not new & used, where
        places = after


@pytest.mark.parametrize("in_use", [True, False])
def test_a_service_that_left_is_there_as_long_as_a_server_of_it_has_sessions(in_use):
    before = Indices().next(config(VIA_VIP), [], has_sessions=never)
    (dns,) = [index for key, index in before.services.present.items() if key.name == "dns"]
    gone = before.next(config(WITHOUT_DNS), [], has_sessions=never)
    other = gone.next(config(WITHOUT_DNS + DNS.replace("dns:", "dns2:")), [], has_sessions=lambda _: in_use)
    (dns2,) = [index for key, index in other.services.present.items() if key.name == "dns2"]
    assert (dns2 != dns, dns in other.services.left) == (in_use, in_use)
