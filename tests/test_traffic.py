"""What becomes of servers against which their own traffic speaks: looks, probes, holds and events, in made-up time."""

import pytest
from control import CONFIG
from traffic_bench import Bench, on_bench

from swlb.figures import servers

WEB1 = "10.0.2.11"
# One probe at 100, and none by itself for an hour.
CHECK = "type: tcp, initial: up, interval: 1h, response: 1s, retries: 3, timeout: 1h"
NO_CHECK = CONFIG.replace("    check: {type: tcp, initial: up}\n", "")
DOWN = "{failures: 3, within: 10s, action: down, back_off: 5s, back_off_max: 1m}"
PROBE = "{failures: 3, within: 10s}"


def passive(keys: str, text: str = NO_CHECK) -> str:
    """The configuration, with passive evidence wanted in web."""
    return text.replace("    port: 80\n", f"    port: 80\n    passive: {keys}\n")


def checked(keys: str, *, dead_interval: str = "10s") -> str:
    """The same beside a check."""
    check = f"{CHECK}, dead_interval: {dead_interval}"
    return passive(keys, CONFIG.replace("type: tcp, initial: up", check))


# ---- taken out ----

def test_enough_failures_take_a_server_out_and_say_why():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=2)
        await bench.until(101.0)
        assert bench.states()["web1"] == "up"
        bench.count("web1", repeated=1)
        await bench.until(102.0)
        assert bench.states() == {"web1": "down", "web2": "up", "web1v6": "up"}
        (event,) = [event for event in bench.control.events.rows() if event["kind"] == "server_down"]
        assert (event["server"], event["reason"], event["cause"]) == ("web1", "L4TOUT", "passive")
        assert event["text"] == (
            "server web/web1 is down (was up): L4TOUT, 3 connections within 10s were not answered; tried again after "
            "5s; passive; it has no sessions"
        )

    on_bench(passive(DOWN), scenario)


def test_the_workers_know_that_it_is_out():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", refused=3)
        await bench.until(101.0)
        server = bench.control.server("web1")
        assert (server.reason, server.ready_bits, server.effective_weight) == ("L4CON", 0, 0)

    on_bench(passive(DOWN), scenario)


def test_a_server_that_answers_somebody_stays():
    async def scenario(bench: Bench) -> None:
        for second in range(20):
            bench.count("web1", repeated=2, answered=1)
            await bench.until(101.0 + second)
        assert bench.states()["web1"] == "up"

    on_bench(passive(DOWN), scenario)


def test_after_its_back_off_it_takes_sessions_again_and_one_failure_takes_it_out_for_twice_as_long():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(100.3)
        assert bench.states()["web1"] == "down"
        await bench.until(105.1)
        assert bench.states()["web1"] == "down"
        await bench.until(105.5)
        assert bench.states()["web1"] == "up"
        (back,) = bench.told("server_up")
        assert back == "server web/web1 is up (was down): no check, its back-off of 5s is over; passive"
        bench.count("web1", repeated=1)
        await bench.until(106.0)
        assert bench.states()["web1"] == "down"
        assert "1 connection was not answered; tried again after 10s" in bench.told("server_down")[-1]

    on_bench(passive(DOWN), scenario)


def test_what_was_counted_while_it_was_out_does_not_count_on_trial():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(100.3)
        bench.count("web1", repeated=9)
        await bench.until(110.0)
        assert bench.states()["web1"] == "up"

    on_bench(passive(DOWN), scenario)


def test_the_last_server_of_a_family_stays_and_that_is_told_once_a_minute():
    async def scenario(bench: Bench) -> None:
        for second in range(70):
            bench.count("web1v6", repeated=3)
            await bench.until(101.0 + second)
        assert bench.states()["web1v6"] == "up"
        assert bench.told("server_down") == []
        assert bench.told("passive") == [
            "server web/web1v6: 3 connections within 10s were not answered; it stays, as its clients have no other "
            "server to go to"
        ] * 2

    on_bench(passive(DOWN), scenario)


@pytest.mark.parametrize("order", ["drain", "maint", "weight=0"])
def test_a_server_is_brought_back_when_the_last_other_one_goes(order):
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(101.0)
        bench.balancer.order("web/web2", order)
        assert bench.states()["web1"] == "up"
        assert "no other server is left" in bench.told("server_up")[-1]
        assert bench.told("service_down") == []
        bench.count("web1", repeated=1)
        await bench.until(102.0)
        assert bench.states()["web1"] == "up"

    on_bench(passive(DOWN), scenario)


def test_maintenance_forgives():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(101.0)
        bench.balancer.order("web/web1", "maint")
        bench.balancer.order("web/web1", "ready")
        assert (bench.states()["web1"], bench.control.server("web1").held_until) == ("up", None)
        bench.count("web1", repeated=1)
        await bench.until(102.0)
        assert bench.states()["web1"] == "up"

    on_bench(passive(DOWN), scenario)


def test_a_server_that_is_drained_is_left_alone():
    async def scenario(bench: Bench) -> None:
        bench.balancer.order("web/web1", "drain")
        bench.count("web1", repeated=3)
        await bench.until(101.0)
        assert (bench.states()["web1"], bench.told("passive")) == ("up", [])

    on_bench(passive(DOWN), scenario)


def test_how_long_it_is_held_is_shown():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(101.2)
        held = {row["server"]: row["held_s"] for row in servers(bench.control)}
        assert held == {"web1": pytest.approx(4.0, abs=0.01), "web2": None, "web1v6": None, "ns1": None}

    on_bench(passive(DOWN), scenario)


# ---- probed at once ----

def test_evidence_has_the_server_probed_at_once_and_then_on_until_its_check_has_decided():
    async def scenario(bench: Bench) -> None:
        bench.ok[WEB1], bench.takes[WEB1] = False, 1.0
        await bench.until(110.1)
        bench.count("web1", repeated=3)
        await bench.until(120.0)
        # The first was at the start; the third failure in a row decides.
        assert bench.probed[WEB1] == pytest.approx([100.0, 110.2, 111.2], abs=0.01)
        assert bench.states()["web1"] == "down"
        (event,) = [event for event in bench.control.events.rows() if event["kind"] == "server_down"]
        assert (event["reason"], event["cause"]) == ("L4TOUT", "retries")
        assert bench.told("passive") == [
            "server web/web1: 3 connections within 10s were not answered; it is probed at once"
        ]

    on_bench(checked(PROBE), scenario)


def test_probes_that_fail_at_once_still_leave_each_other_time():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.1)
        bench.ok[WEB1] = False
        bench.count("web1", refused=3)
        await bench.until(120.0)
        assert bench.probed[WEB1] == pytest.approx([100.0, 110.2, 111.2, 112.2], abs=0.01)
        assert bench.states()["web1"] == "down"

    on_bench(checked(PROBE), scenario)


def test_a_probe_that_succeeds_clears_the_server():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.count("web1", refused=3)
        await bench.until(200.0)
        assert len(bench.probed[WEB1]) == 2
        assert bench.states()["web1"] == "up"

    on_bench(checked(PROBE), scenario)


def test_traffic_that_goes_on_failing_does_not_make_a_flood_of_probes():
    async def scenario(bench: Bench) -> None:
        for step in range(50):
            bench.count("web1", repeated=3)
            await bench.until(110.0 + 0.2 * step)
        assert 8 <= len(bench.probed[WEB1]) <= 12

    on_bench(checked(PROBE), scenario)


def test_other_servers_are_not_probed():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.count("web1", repeated=3)
        await bench.until(120.0)
        assert len(bench.probed["10.0.2.12"]) == 1

    on_bench(checked(PROBE), scenario)


# ---- both ----

def test_the_check_of_a_server_that_is_held_is_asked_and_keeps_it_down_after_the_hold():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.ok[WEB1] = False
        bench.count("web1", repeated=3)
        await bench.until(111.0)
        assert (bench.states()["web1"], bench.control.server("web1").reason) == ("down", "L4TOUT")
        await bench.until(116.0)
        assert (bench.states()["web1"], bench.told("server_up")) == ("down", [])
        assert bench.told("passive") == [
            "server web/web1: its back-off of 5s is over; it stays down, as its check says: L4TOUT"
        ]
        bench.ok[WEB1] = True
        await bench.until(150.0)
        assert bench.states()["web1"] == "up"
        assert "rise" in bench.told("server_up")[0]

    on_bench(checked(DOWN), scenario)


def test_a_check_that_goes_down_and_comes_up_again_during_the_hold_does_not_end_it():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.ok[WEB1] = False
        bench.count("web1", repeated=3)
        await bench.until(113.0)
        bench.ok[WEB1] = True
        await bench.until(130.0)
        assert bench.states()["web1"] == "down"
        await bench.until(141.0)
        assert bench.states()["web1"] == "up"
        assert len(bench.told("server_down")) == len(bench.told("server_up")) == 1

    on_bench(checked(DOWN.replace("back_off: 5s", "back_off: 30s"), dead_interval="1s"), scenario)


def test_a_check_that_says_up_brings_it_back_when_the_hold_is_over():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.count("web1", repeated=3)
        await bench.until(116.0)
        assert (bench.states()["web1"], len(bench.probed[WEB1])) == ("up", 2)

    on_bench(checked(DOWN), scenario)


# ---- a host that is gone ----

def test_a_host_for_which_nobody_answers_is_evidence_enough():
    async def scenario(bench: Bench) -> None:
        bench.balancer.traffic.hear_of_loss(bench.control.server("web1").config.address)
        assert bench.states() == {"web1": "down", "web2": "up", "web1v6": "up"}
        assert bench.control.server("web1").reason == "L2TOUT"
        assert "nobody answers ARP for 10.0.2.11" in bench.told("server_down")[0]

    on_bench(passive(DOWN), scenario)


def test_services_that_do_not_want_passive_evidence_have_none():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=9, refused=9, unanswered=9)
        await bench.until(200.0)
        bench.balancer.traffic.hear_of_loss(bench.control.server("web1").config.address)
        assert set(bench.states().values()) == {"up"}
        assert bench.told("passive") == []

    on_bench(NO_CHECK, scenario)


# ---- what counts ----

DATAGRAMS = NO_CHECK.replace("ns1: {address: 10.0.2.11}", "ns1: {address: 10.0.2.11}, ns2: {address: 10.0.2.12}")


def dns(keys: str) -> str:
    return DATAGRAMS.replace("protocol: udp\n", f"protocol: udp\n    timeouts: {{udp: 5s}}\n    passive: {keys}\n")


@pytest.mark.parametrize(("one_way", "state"), [("false", "up"), ("true", "down")])
def test_datagrams_that_nobody_answered_count_only_where_servers_answer_every_client(one_way, state):
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.count("ns1", service="dns", unanswered=3)
        await bench.until(111.0)
        assert bench.states("dns")["ns1"] == state

    on_bench(dns(f"{{action: down, one_way: {one_way}}}"), scenario)


def test_datagrams_that_were_refused_count():
    async def scenario(bench: Bench) -> None:
        bench.count("ns1", service="dns", refused=3)
        await bench.until(101.0)
        assert "3 sessions within 10s were refused" in bench.told("server_down")[0]

    on_bench(dns("{action: down}"), scenario)


def test_any_datagram_of_the_server_s_is_an_answer():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.0)
        bench.count("ns1", service="dns", unanswered=3, packets_out=1)
        await bench.until(111.0)
        assert bench.states("dns")["ns1"] == "up"

    on_bench(dns("{action: down, one_way: true}"), scenario)


def test_refused_and_unanswered_are_both_named():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", refused=2, repeated=1)
        await bench.until(101.0)
        assert "3 connections within 10s failed: 1 not answered, 2 refused" in bench.told("server_down")[0]

    on_bench(passive(DOWN), scenario)


# ---- beside all else that a server may be ----

def test_why_it_takes_no_sessions_is_said_with_when_it_is_tried_again():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(101.2)
        assert bench.balancer.why("web/web1")["sentence"] == (
            "web/web1 takes no new sessions: its clients speak against it (L4TOUT, 3 connections within 10s were not "
            "answered); it is tried again in 4.0 s."
        )

    on_bench(passive(DOWN), scenario)


def test_every_check_of_the_server_is_asked():
    async def scenario(bench: Bench) -> None:
        await bench.until(110.1)
        bench.count("web1", repeated=3)
        await bench.until(111.0)
        assert bench.probed[WEB1][2:] == pytest.approx([110.2, 110.2], abs=0.01)

    two = f"all: [{{{CHECK}}}, {{type: icmp, initial: up, interval: 1h}}]"
    on_bench(passive(PROBE, CONFIG.replace("type: tcp, initial: up", two)), scenario)


def test_a_server_that_serves_because_health_is_ignored_is_not_held_twice():
    async def scenario(bench: Bench) -> None:
        bench.count("web1", repeated=3)
        await bench.until(101.0)
        server = bench.control.server("web1")
        assert (server.operational, server.serves, server.held_until) == ("down", True, pytest.approx(105.2, abs=0.01))
        bench.balancer.traffic.hear_of_loss(server.config.address)
        assert len(bench.told("server_down")) == 1
        await bench.until(106.0)
        assert (server.operational, bench.told("fail_open_over")) == ("up", ["service web: 3 of 3 servers are up: "
                                                                             "health counts again"])

    text = checked(DOWN).replace("    port: 80\n", "    port: 80\n    fail_open: 100%\n")
    on_bench(text, scenario)
