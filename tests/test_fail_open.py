"""Too few servers are up: health is ignored, loudly, and no session of a server that serves on is harmed by it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from control import CONFIG, Control, control

from swlb.fail_open import ignores_health
from swlb.figures import servers, services
from swlb.health import Transition
from swlb.probes import Outcome

OPEN = CONFIG.replace("check: {type: tcp, initial: up}", "check: {type: tcp, initial: INITIAL}\n    fail_open: 50%")
NAMES = ("web1", "web2", "web1v6")


def opened(initial: str = "up", share: str = "50%") -> Control:
    """Service web has three servers, and ignores health where fewer than that share of them are up."""
    return control(OPEN.replace("INITIAL", initial).replace("50%", share))


def change(balanced: Control, name: str, new: str) -> None:
    """Its check says so: as a change, or as a first probe that finds what it counted as."""
    key, old = ("web", name, 0), balanced.server(name).operational
    status = "L4OK" if new == "up" else "L4CON"
    if new == old:
        balanced.balancer._on_probe(key, Outcome(new == "up", status, "", 1.0))
    else:
        balanced.balancer._on_transition(key, Transition(old, new, status, "a rule"))


def fall(balanced: Control, *names: str) -> None:
    for name in names:
        change(balanced, name, "down")


def is_open(balanced: Control) -> bool:
    (row,) = [row for row in services(balanced) if row["service"] == "web"]
    return row["fail_open"]


def taking(balanced: Control) -> set[str]:
    """The servers of web that take new sessions."""
    return {row["server"] for row in servers(balanced) if row["service"] == "web" and row["effective_weight"]}


@dataclass
class Told:
    """What the workers were told of servers, in its order, on its way to them."""

    workers: Any
    said: list[tuple[str, int]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.workers, name)

    def set_server(self, index: int, *, ready: int, **more: int) -> None:
        self.said.append((NAMES[index], ready))
        self.workers.set_server(index, ready=ready, **more)


def listened_to(balanced: Control) -> list[tuple[str, int]]:
    """What the workers are told from now on."""
    told = Told(balanced.built.workers)
    balanced.built.workers = told  # type: ignore[misc]
    return told.said


def test_health_counts_as_long_as_the_share_is_up():
    balanced = opened()
    fall(balanced, "web1")
    assert (is_open(balanced), taking(balanced)) == (False, {"web2", "web1v6"})


def test_below_the_share_all_servers_take_sessions():
    balanced = opened()
    fall(balanced, "web1", "web2")
    assert (is_open(balanced), taking(balanced)) == (True, set(NAMES))


def test_operational_stays_the_truth():
    balanced = opened()
    fall(balanced, "web1", "web2")
    assert {row["server"]: row["operational"] for row in servers(balanced) if row["service"] == "web"} == {
        "web1": "down", "web2": "down", "web1v6": "up"}  # fmt: skip


def test_it_is_told_loudly_and_so_is_its_end():
    balanced = opened()
    fall(balanced, "web1", "web2")
    change(balanced, "web2", "up")
    assert balanced.kinds() == ["server_down", "server_down", "fail_open", "server_up", "fail_open_over"]
    texts = [event["text"] for event in balanced.events.rows() if event["kind"].startswith("fail_open")]
    assert texts == [
        "service web: 1 of 3 servers is up, less than 50%: health is ignored, all 3 take sessions",
        "service web: 2 of 3 servers are up: health counts again",
    ]


def test_it_is_a_warning_in_the_log(caplog):
    fall(opened(), "web1", "web2")
    (record,) = [record for record in caplog.records if record.getMessage().startswith("fail_open:")]
    assert record.levelname == "WARNING"


def test_the_service_is_never_said_to_be_down():
    balanced = opened()
    fall(balanced, *NAMES)
    assert "service_down" not in balanced.kinds()


def test_when_it_is_over_those_that_are_down_serve_nobody():
    balanced = opened()
    fall(balanced, *NAMES)
    for name in ("web1", "web1v6"):
        change(balanced, name, "up")
    assert (is_open(balanced), taking(balanced)) == (False, {"web1", "web1v6"})


def test_a_server_that_goes_down_and_serves_on_is_never_told_to_the_workers_as_down():
    """Packets between two words to the workers would find its sessions without a server, and reset them."""
    balanced = opened()
    fall(balanced, "web1")
    said = listened_to(balanced)
    fall(balanced, "web2", "web1v6")
    assert {ready for _, ready in said} == {1}


def test_when_it_is_over_those_that_serve_are_told_first():
    balanced = opened()
    fall(balanced, *NAMES)
    change(balanced, "web1v6", "up")
    said = listened_to(balanced)
    change(balanced, "web2", "up")
    assert (said[0][1], said[-1]) == (1, ("web1", 0))


@pytest.mark.parametrize("order", ["drain", "maint", "weight=0"])
def test_servers_that_the_operator_took_out_do_not_count(order):
    """One of three down is half of the two that are left."""
    balanced = opened()
    balanced.balancer.order("web/web1", order)
    fall(balanced, "web2")
    assert not is_open(balanced)
    fall(balanced, "web1v6")
    assert (is_open(balanced), taking(balanced)) == (True, {"web2", "web1v6"})


def test_an_order_may_bring_it_about_and_another_end_it():
    balanced = opened(share="60%")
    fall(balanced, "web1")
    assert not is_open(balanced)
    balanced.balancer.order("web/web2", "drain")
    assert (is_open(balanced), taking(balanced)) == (True, {"web1", "web1v6"})
    balanced.balancer.order("web/web2", "ready")
    assert (is_open(balanced), taking(balanced)) == (False, {"web2", "web1v6"})


@pytest.mark.parametrize("initial", ["checking", "down"])
def test_servers_of_which_nothing_is_known_are_no_reason_to_begin(initial):
    balanced = opened(initial)
    fall(balanced, "web1")
    assert not is_open(balanced)
    fall(balanced, "web2")
    assert is_open(balanced)


def test_servers_of_which_nothing_is_known_are_no_reason_to_end():
    balanced = opened()
    fall(balanced, *NAMES)
    for name in NAMES:
        balanced.server(name).operational, balanced.server(name).reason = "checking", "INI"
    web = [balanced.server(name) for name in NAMES]
    assert ignores_health(0.5, web, did=True)
    assert not ignores_health(0.5, web, did=False)


def test_without_fail_open_nothing_is_ignored():
    balanced = opened(share="0%")
    fall(balanced, *NAMES)
    assert (is_open(balanced), taking(balanced), balanced.kinds()[-1]) == (False, set(), "service_down")


@pytest.mark.parametrize(("up", "ignored"), [(6, True), (7, False)])
def test_a_share_is_exact(up, ignored):
    """In floats 7 % of 100 are a little more than 7."""
    balanced = opened()
    web = [balanced.server("web1")] * up + [balanced.server("web2")] * (100 - up)
    fall(balanced, "web2")
    assert ignores_health(0.07, web, did=True) is ignored
