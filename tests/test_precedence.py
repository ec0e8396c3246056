"""`swlb why` of servers that could take sessions and are given none, as others come first."""

import pytest
from control import CONFIG, Control, control


def weighed(scheduler: str, *weights: int, protocol: str = "tcp", keys: str = "") -> Control:
    """Service web has servers a, b, c ... of these weights."""
    servers = "".join(f"      {name}: {{address: 10.0.2.1{n}, port: 80, weight: {weight}}}\n"
                      for n, (name, weight) in enumerate(zip("abcd", weights, strict=False)))  # fmt: skip
    head, _, _ = CONFIG.partition("    servers:\n")
    check = "check: {type: tcp, initial: up}" if protocol == "tcp" else "fail_open: 0%"
    text = head.replace("port: 80\n", f"port: 80\n    protocol: {protocol}\n    scheduler: {scheduler}\n{keys}")
    text = text.replace("check: {type: tcp, initial: up}", check).replace('[10.0.1.100, "fd00:1::100"]', "10.0.1.100")
    return control(f"{text}    servers:\n{servers}")


def count(balanced: Control, **figures: dict[str, int]) -> None:
    """The workers have counted this of servers, by their names."""
    figures_of = balanced.built.workers.server
    counted = {balanced.server(name).index: row for name, row in figures.items()}
    balanced.built.workers.server = (  # type: ignore[method-assign]
        lambda index: figures_of(index) | counted.get(index, {})
    )


def reasons(balanced: Control) -> dict[str, list[str]]:
    """Why each server takes none; those that take some are left out."""
    told = {name: balanced.balancer.why(f"web/{name}") for name in balanced.config.services["web"].servers}
    return {name: row["reasons"] for name, row in told.items() if not row["takes_new_sessions"]}


def test_under_fo_the_heaviest_comes_before_all_others() -> None:
    assert reasons(weighed("fo", 1, 3, 2)) == {
        "a": ["b weighs more (scheduler fo)"], "c": ["b weighs more (scheduler fo)"]}  # fmt: skip


def test_of_equals_the_earlier_comes_first() -> None:
    assert reasons(weighed("fo", 2, 2)) == {"b": ["a weighs as much and stands before it (scheduler fo)"]}


def test_one_that_is_out_or_full_comes_before_nobody() -> None:
    balanced = weighed("fo", 3, 2, 1)
    balanced.balancer.order("web/a", "drain")
    assert set(reasons(balanced)) == {"a", "c"}
    count(balanced, b={"full": 1})
    assert set(reasons(balanced)) == {"a"}


@pytest.mark.parametrize(("active", "taking"), [(0, "b"), (3, "b"), (4, "c")])
def test_under_overflow_the_heaviest_with_room_comes_first(active: int, taking: str) -> None:
    balanced = weighed("overflow", 1, 3, 2)
    count(balanced, b={"sessions_active": active, "sessions_inactive": 9})
    assert set("abc") - set(reasons(balanced)) == {taking}


def test_under_overflow_it_is_said_who_has_room_and_who_has_not() -> None:
    balanced = weighed("overflow", 1, 3)
    assert reasons(balanced) == {"a": ["b weighs more and has room (scheduler overflow)"]}
    count(balanced, b={"sessions_active": 4})
    assert reasons(balanced) == {"b": ["it has 4 active sessions, more than its weight of 3 (scheduler overflow)"]}


def test_of_udp_every_session_counts() -> None:
    balanced = weighed("overflow", 1, 3, protocol="udp")
    count(balanced, b={"sessions_active": 0, "sessions_inactive": 4})
    assert set(reasons(balanced)) == {"b"}


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "wlc", "sed", "nq", "hash", "maglev", "p2c"])
def test_under_all_others_everybody_that_can_takes_some(scheduler: str) -> None:
    assert reasons(weighed(scheduler, 1, 3, 2)) == {}
