"""Orders and checks become states, events, and what the worker knows."""

import asyncio
from ipaddress import ip_address

import pytest
from control import CONFIG, Control, control

from swlb.bypass import notice
from swlb.config import parse
from swlb.errors import SwlbError
from swlb.health import Transition
from swlb.succession import up_at_start


def fall(balanced: Control, *servers: str) -> None:
    """The servers of web have gone down."""
    for name in servers:
        balanced.balancer._on_transition(("web", name, 0), Transition("up", "down", "L4CON", "retries"))


def rise(balanced: Control, name: str) -> None:
    balanced.balancer._on_transition(("web", name, 0), Transition("down", "up", "L4OK", "rise"))


@pytest.mark.parametrize(("initial", "up"), [("up", True), ("down", False), ("checking", False)])
def test_a_checked_server_serves_at_the_start_as_initial_says(initial, up):
    config = parse(CONFIG.replace("initial: up", f"initial: {initial}"), file="test.yaml")
    assert up_at_start(config)["web", "web1"] is up


def test_a_server_without_a_check_serves_at_the_start():
    assert up_at_start(parse(CONFIG, file="test.yaml"))["dns", "ns1"] is True


@pytest.mark.parametrize(("order", "kind"), [("drain", "admin"), ("maint", "admin"), ("weight=2", "weight")])
def test_an_order_is_an_event(order, kind):
    balanced = control()
    balanced.balancer.order("web/web2", order)
    assert balanced.kinds() == [kind]


@pytest.mark.parametrize("order", ["ready", "weight=4", "weight=100%"])
def test_an_order_that_changes_nothing_is_none(order):
    balanced = control()
    balanced.balancer.order("web/web1", order)
    assert balanced.kinds() == []


@pytest.mark.parametrize(("count", "words"), [(0, ""), (1, "; 1 session goes on"), (7, "; 7 sessions go on")])
def test_a_drain_is_told_with_the_sessions_that_go_on(count, words):
    balanced = control()
    figures_of = balanced.built.workers.server
    balanced.built.workers.server = lambda index: figures_of(index) | {"sessions_open": count}
    balanced.balancer.order("web/web2", "drain")
    assert balanced.events.rows()[-1]["text"] == f"server web/web2 is drain (was ready){words}"


def test_an_order_is_answered_with_a_sentence():
    assert control().balancer.order("web/web1", "weight=50%") == "server web/web1: weight 2 (was 4)"


def test_a_percentage_is_of_the_configured_weight_not_of_the_present_one():
    balanced = control()
    balanced.balancer.order("web/web1", "weight=50%")
    balanced.balancer.order("web/web1", "weight=50%")
    assert balanced.server("web1").weight == 2


@pytest.mark.parametrize("name", ["web/web9", "web1", "web", "", "dns/web1", "web/web1/"])
def test_an_unknown_server_is_refused_with_those_there_are(name):
    with pytest.raises(SwlbError, match="there are: web/web1, web/web2, web/web1v6, dns/ns1"):
        control().balancer.order(name, "drain")


def test_wrong_words_change_nothing():
    balanced = control()
    with pytest.raises(ValueError):
        balanced.balancer.order("web/web1", "weight=many")
    assert (balanced.server("web1").weight, balanced.kinds()) == (4, [])


def test_a_transition_moves_the_operational_state_only():
    balanced = control()
    balanced.balancer.order("web/web1", "drain")
    fall(balanced, "web1")
    server = balanced.server("web1")
    assert (server.operational, server.admin, server.reason, server.since) == ("down", "drain", "L4CON", 100.0)


def test_a_service_is_down_with_its_last_server_and_up_with_its_first():
    balanced = control()
    fall(balanced, "web1", "web2")
    assert balanced.kinds() == ["server_down"] * 2
    fall(balanced, "web1v6")
    assert balanced.kinds()[2:] == ["server_down", "service_down"]
    rise(balanced, "web2")
    assert balanced.kinds()[4:] == ["server_up", "service_up"]


def test_a_drained_server_keeps_its_service_up():
    balanced = control()
    for name in ("web1", "web2", "web1v6"):
        balanced.balancer.order(f"web/{name}", "drain")
    assert set(balanced.kinds()) == {"admin"}


def told(balanced: Control) -> list[str]:
    """What the events say of their service, in words behind the last semicolon."""
    texts = [event["text"].partition("; service ")[2] for event in balanced.events.rows()]
    return [text for text in texts if text]


@pytest.mark.parametrize(("order", "back"), [("drain", "ready"), ("weight=0", "weight=3")])
def test_a_service_that_takes_no_new_sessions_any_more_is_told_and_that_it_does_again(order, back):
    balanced = control()
    for name in ("web1", "web2"):
        balanced.balancer.order(f"web/{name}", order)
    assert told(balanced) == []
    balanced.balancer.order("web/web1v6", order)
    assert told(balanced) == ["web takes no new sessions"]
    balanced.balancer.order("web/web2", back)
    assert told(balanced)[1:] == ["web takes new sessions again"]
    assert "service_down" not in balanced.kinds()


def test_a_service_whose_last_server_that_is_not_drained_falls_takes_no_new_sessions():
    balanced = control()
    for name in ("web1", "web2"):
        balanced.balancer.order(f"web/{name}", "drain")
    fall(balanced, "web1v6")
    assert (told(balanced), balanced.kinds()[-1]) == (["web takes no new sessions"], "server_down")


def test_a_service_that_comes_up_drained_is_said_to_take_no_new_sessions():
    balanced = control()
    balanced.balancer.order("web/web1", "drain")
    fall(balanced, "web1", "web2", "web1v6")
    rise(balanced, "web1")
    assert balanced.events.rows()[-1]["text"] == "service web can serve the sessions it has, and takes no new ones"


def test_that_a_service_begins_or_ends_is_said_by_its_own_event_only():
    balanced = control()
    balanced.balancer.order("dns/ns1", "maint")
    balanced.balancer.order("dns/ns1", "ready")
    texts = [event["text"] for event in balanced.events.rows() if event["kind"] == "admin"]
    assert not [text for text in texts if "new sessions" in text]


def test_maintenance_of_the_last_server_takes_its_service_down():
    balanced = control()
    balanced.balancer.order("dns/ns1", "maint")
    assert balanced.kinds() == ["admin", "service_down"]


def test_a_server_without_a_check_is_back_from_maintenance_at_once():
    balanced = control()
    balanced.balancer.order("dns/ns1", "maint")
    balanced.balancer.order("dns/ns1", "ready")
    assert (balanced.server("ns1", "dns").operational, balanced.kinds()[-1]) == ("up", "service_up")


def test_a_checked_server_is_back_from_maintenance_when_its_check_says_so():
    async def back() -> Control:
        balanced = control()
        balanced.balancer.order("web/web1", "maint")
        balanced.balancer.order("web/web1", "ready")
        assert balanced.balancer.status(("web", "web1")) is not None
        await balanced.balancer.stop()
        return balanced

    server = asyncio.run(back()).server("web1")
    assert (server.operational, server.admin, server.serves) == ("checking", "ready", False)


def test_the_event_of_a_server_that_went_down_says_why():
    balanced = control()
    fall(balanced, "web1")
    (event,) = balanced.events.rows()
    assert (event["service"], event["server"], event["reason"], event["cause"]) == ("web", "web1", "L4CON", "retries")


CLIENT = ip_address("10.0.1.10")


def hear(balanced: Control, name: str = "web1") -> None:
    """A worker has noticed that a client of the server asks again and was never answered."""
    balanced.balancer.hear_of_bypass(balanced.server(name).index, CLIENT)


def test_a_client_whose_answers_pass_swlb_by_is_an_event_in_the_words_of_check():
    balanced = control()
    hear(balanced)
    (event,) = balanced.events.rows()
    web = balanced.config.services["web"]
    assert (event["kind"], event["service"], event["server"], event["client"]) == (
        "reply_bypasses", "web", "web1", "10.0.1.10")  # fmt: skip
    assert event["text"] == notice(web, web.servers["web1"], CLIENT)


def test_a_server_whose_answers_pass_swlb_by_is_told_of_once_a_minute():
    balanced = control()
    hear(balanced)
    asyncio.run(balanced.clock.advance_to(159))
    hear(balanced)
    assert balanced.kinds() == ["reply_bypasses"]
    hear(balanced, "web2")
    asyncio.run(balanced.clock.advance_to(160))
    hear(balanced)
    assert balanced.kinds() == ["reply_bypasses"] * 3


def test_a_server_that_is_down_answers_nobody_and_that_is_no_event():
    balanced = control()
    fall(balanced, "web1")
    hear(balanced)
    assert "reply_bypasses" not in balanced.kinds()


def test_of_a_server_without_a_check_it_is_said_that_it_may_not_be_there():
    balanced = control()
    balanced.balancer.hear_of_bypass(balanced.server("ns1", "dns").index, CLIENT)
    (event,) = balanced.events.rows()
    assert "(if it is there at all: it has no check)" in event["text"]
