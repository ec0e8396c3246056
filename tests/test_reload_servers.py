"""What becomes of servers and their checks when the configuration changes, in made-up time."""

import pytest
from control import CONFIG
from reforming import Reforming, reforming
from told import DOWN, UP

from swlb.probes.outcome import Outcome, Report

CHECK = "{type: tcp, initial: up}"
TIMED = "{type: tcp, initial: up, interval: 2s, retries: 2, dead_interval: 2s, rise: 2, timeout: 1h}"
OTHER = TIMED.replace("retries: 2", "retries: 3")
WEB1 = "10.0.2.11"
BASE = CONFIG.replace(CHECK, TIMED)
WEB3 = "      web3: {address: 10.0.2.13, port: 8080}\n"
WITH_WEB3 = BASE.replace("      web1v6:", WEB3 + "      web1v6:")


def checked_by(*checks: str, need: str = "all", text: str = BASE) -> str:
    """The configuration with these checks of the service web; none: it has none."""
    written = f"check: {{{need}: [{', '.join(checks)}]}}" if checks else "orphans: reset"
    return text.replace(f"check: {TIMED}", written)


def timed(kind: str) -> str:
    """A check of that type."""
    return TIMED.replace("type: tcp", f"type: {kind}")


# ---- checks that have not changed ----


def test_a_check_that_has_not_changed_is_asked_when_it_would_have_been() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(101.0)
        before = at.balancer.status(("web", "web1"))
        at.go_over(WITH_WEB3)
        assert at.balancer.status(("web", "web1")) == before
        await at.until(102.0)
        assert at.states()["web/web1"] == "down"
        assert at.asked("tcp", f"{WEB1}:8080") == [100.0, 102.0]

    reforming(BASE, scenario)


def test_a_server_that_stays_keeps_its_state_and_since_when() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        was = at.control.server("web1")
        before = (was.operational, was.reason, was.since)
        at.go_over(WITH_WEB3)
        now = at.control.server("web1")
        assert (now.operational, now.reason, now.since) == before == ("down", "L4CON", 102.0)

    reforming(BASE, scenario)


def test_the_check_of_another_number_is_the_same_one() -> None:
    async def scenario(at: Reforming) -> None:
        await at.until(103.0)
        at.go_over(checked_by(timed("icmp"), TIMED))
        history = at.balancer.statuses(("web", "web1"))[1].history
        assert [past.at for past in history] == at.asked("tcp", f"{WEB1}:8080") == [100.0, 102.0]
        await at.until(104.0)
        assert at.asked("tcp", f"{WEB1}:8080") == [100.0, 102.0, 104.0]

    reforming(BASE, scenario)


def test_a_check_that_fails_under_another_number_takes_its_server_out() -> None:
    async def scenario(at: Reforming) -> None:
        at.go_over(checked_by(timed("icmp"), TIMED))
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(106.0)
        state = at.control.server("web1")
        assert (state.operational, state.decider, state.reason) == ("down", 1, "L4CON")

    reforming(BASE, scenario)


def test_a_change_of_another_key_of_the_service_restarts_no_check() -> None:
    async def scenario(at: Reforming) -> None:
        await at.until(101.0)
        for key in ("scheduler: wrr", "on_down: drop", "fail_open: 50%", "timeouts: {tcp_fin: 5s}", "port: 81"):
            at.go_over(BASE.replace("port: 80\n", f"{'' if key[:4] == 'port' else 'port: 80'}\n    {key}\n"))
        await at.until(102.0)
        assert at.asked("tcp", f"{WEB1}:8080") == [100.0, 102.0]

    reforming(BASE, scenario)


# ---- checks that have changed ----


@pytest.mark.parametrize("state", ["up", "down"])
def test_with_another_check_a_server_stays_what_it_is_until_that_has_decided(state: str) -> None:
    async def scenario(at: Reforming) -> None:
        if state == "down":
            at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        assert at.states()["web/web1"] == state
        told = len(at.events())
        at.go_over(BASE.replace(TIMED, OTHER.replace("initial: up", "initial: checking")))
        assert (at.states()["web/web1"], len(at.events())) == (state, told)
        at.told.outcomes["tcp", WEB1] = DOWN if state == "up" else UP
        await at.until(106.0)
        assert at.states()["web/web1"] == state
        await at.until(120.0)
        assert at.states()["web/web1"] == {"up": "down", "down": "up"}[state]

    reforming(BASE, scenario)


def test_a_check_of_another_type_begins_as_the_one_before_stood() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(BASE.replace(TIMED, timed("http")))
        assert (at.states()["web/web1"], at.states()["web/web2"]) == ("down", "up")

    reforming(BASE, scenario)


def test_each_check_that_is_replaced_is_so_by_one_other() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(checked_by(OTHER, OTHER.replace("type: tcp", "type: tcp, port: 9090"), need="any"))
        assert [standing.state for standing in at.control.server("web1").standings] == ["down", "up"]
        assert at.states()["web/web1"] == "up"

    reforming(checked_by(TIMED, timed("http"), need="any"), scenario)


def test_a_check_that_is_another_begins_as_the_one_of_its_name_stood() -> None:
    def named(a: str, b: str) -> str:
        return checked_by("a", "b", need="any").replace("services:", f"checks: {{a: {a}, b: {b}}}\nservices:", 1)

    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(named(timed("http"), TIMED))
        assert [standing.state for standing in at.control.server("web1").standings] == ["down", "up"]

    reforming(named(TIMED, timed("http")), scenario)


def test_a_further_check_is_no_hindrance_to_a_server_whose_others_are_well_again() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        at.told.outcomes["icmp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(checked_by(TIMED, timed("icmp").replace(" interval: 2s", " interval: 1h")))
        at.told.outcomes["tcp", WEB1] = UP
        await at.until(112.0)
        assert at.states()["web/web1"] == "up"

    reforming(BASE, scenario)


def test_a_service_that_gets_a_check_goes_on_serving_until_it_fails() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(101.0)
        at.go_over(BASE.replace("initial: up", "initial: down"))
        assert set(at.states().values()) == {"up"}
        await at.until(110.0)
        assert at.states() == {"web/web1": "down", "web/web2": "up", "web/web1v6": "up", "dns/ns1": "up"}

    reforming(checked_by(), scenario)


def test_a_server_whose_service_has_no_check_any_more_is_up_and_that_is_told() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(checked_by())
        assert at.events("server_up") == ["server web/web1 is up (was down): no check; reload"]
        await at.until(120.0)
        assert at.asked("tcp", f"{WEB1}:8080")[-1] < 105.0
        assert at.balancer.statuses(("web", "web1")) == {}

    reforming(BASE, scenario)


def test_what_a_service_needs_takes_effect_at_once() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["icmp", WEB1] = DOWN
        await at.until(105.0)
        assert at.states()["web/web1"] == "down"
        at.go_over(checked_by(TIMED, timed("icmp"), need="any"))
        assert at.states()["web/web1"] == "up"
        at.go_over(checked_by(TIMED, timed("icmp")))
        assert at.states()["web/web1"] == "down"
        assert len(at.events("server_up")) == 1
        assert at.events("server_down")[1:] == [
            "server web/web1 is down (was up): check 1 (icmp): L4CON, connection refused; reload; it has no sessions"
        ]

    reforming(checked_by(TIMED, timed("icmp")), scenario)


# ---- servers that come and go ----


def test_a_new_server_begins_as_at_the_start() -> None:
    async def scenario(at: Reforming) -> None:
        await at.until(105.0)
        at.go_over(WITH_WEB3.replace("initial: up", "initial: checking"))
        assert at.states() == {
            "web/web1": "up", "web/web2": "up", "web/web3": "checking", "web/web1v6": "up", "dns/ns1": "up"
        }  # fmt: skip
        await at.until(106.0)
        assert at.states()["web/web3"] == "up"

    reforming(BASE, scenario)


def test_a_new_server_of_a_new_segment_is_asked_by_the_way_there() -> None:
    async def scenario(at: Reforming) -> None:
        text = WITH_WEB3.replace("web2: {tap: sws2}", "web2: {tap: sws2}, web3: {tap: sws3}")
        text = text.replace("services:\n", "  third: {ports: [web3], addresses: [10.0.3.1/24]}\nservices:\n", 1)
        at.go_over(text.replace("10.0.2.13", "10.0.3.13"))
        assert at.asked("tcp", "10.0.3.13:8080") == []
        await at.until(101.0)
        assert at.asked("tcp", "10.0.3.13:8080") == [100.0]

    reforming(BASE, scenario)


def test_a_server_that_left_is_asked_no_more() -> None:
    async def scenario(at: Reforming) -> None:
        await at.until(105.0)
        at.go_over(BASE)
        await at.until(120.0)
        assert at.asked("tcp", "10.0.2.13:8080")[-1] <= 105.0
        assert at.asked("tcp", f"{WEB1}:8080")[-1] == 120.0
        assert ("web", "web3") not in at.balancer.servers

    reforming(WITH_WEB3, scenario)


@pytest.mark.parametrize("new", ["address: 10.0.2.14, port: 8080", "address: 10.0.2.11, port: 8081"])
def test_a_name_that_stands_for_another_server_is_a_new_server(new: str) -> None:
    async def scenario(at: Reforming) -> None:
        at.balancer.order("web/web1", "drain")
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(BASE.replace("address: 10.0.2.11, port: 8080", new))
        state = at.control.server("web1")
        assert (state.admin, state.operational, state.reason) == ("ready", "up", "INI")

    reforming(BASE, scenario)


def test_a_service_of_another_vip_knows_what_was_known_of_its_servers() -> None:
    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(BASE.replace("vip: [10.0.1.100,", "vip: [10.0.1.101,"))
        assert (at.states()["web/web1"], at.control.server("web1").since) == ("down", 102.0)

    reforming(BASE, scenario)


def test_a_new_server_knows_at_once_what_a_check_that_others_share_knows() -> None:
    def shared(more: str) -> str:
        text = BASE.replace(f"check: {TIMED}", "check: a").replace("services:", f"checks: {{a: {TIMED}}}\nservices:", 1)
        return text + more

    async def scenario(at: Reforming) -> None:
        at.told.outcomes["tcp", WEB1] = DOWN
        await at.until(105.0)
        at.go_over(shared("""\
  web9:
    vip: 10.0.1.109
    port: 80
    check: a
    servers: {web1: {address: 10.0.2.11, port: 8080}}
"""))
        assert at.states()["web9/web1"] == "down"
        assert at.events("server_down")[-1].startswith("server web9/web1 is down (was up): L4CON")

    reforming(shared(""), scenario)


# ---- orders ----


def test_an_order_stays() -> None:
    async def scenario(at: Reforming) -> None:
        at.balancer.order("web/web1", "drain")
        at.balancer.order("web/web2", "weight=7")
        at.go_over(WITH_WEB3)
        assert (at.control.server("web1").admin, at.control.server("web2").weight) == ("drain", 7)

    reforming(BASE, scenario)


def test_a_weight_of_the_file_comes_after_one_that_was_ordered() -> None:
    async def scenario(at: Reforming) -> None:
        at.balancer.order("web/web1", "weight=7")
        at.go_over(BASE.replace("weight: 4", "weight: 5"))
        assert at.control.server("web1").weight == 5

    reforming(BASE, scenario)


def test_a_server_in_maintenance_stays_there_unasked_and_comes_back_with_the_new_check() -> None:
    async def scenario(at: Reforming) -> None:
        at.balancer.order("web/web1", "maint")
        await at.until(101.0)
        at.go_over(BASE.replace(TIMED, timed("http")))
        await at.until(110.0)
        assert (at.control.server("web1").admin, at.asked("http", f"{WEB1}:8080")) == ("maint", [])
        at.balancer.order("web/web1", "ready")
        await at.until(111.0)
        assert at.asked("http", f"{WEB1}:8080") == [110.0]
        assert at.states()["web/web1"] == "up"

    reforming(BASE, scenario)


def test_an_agent_that_is_not_asked_any_more_has_said_nothing() -> None:
    async def scenario(at: Reforming) -> None:
        words = Report(admin="drain", weight=50, weight_is_percent=True)
        at.told.outcomes["agent", WEB1] = Outcome(True, "L7OK", "drain 50%", 1.0, report=words)
        await at.until(103.0)
        assert (at.control.server("web1").effective_admin, at.control.server("web1").wanted_weight) == ("drain", 2)
        at.go_over(BASE)
        assert (at.control.server("web1").effective_admin, at.control.server("web1").effective_weight) == ("ready", 4)

    reforming(checked_by(TIMED, "{type: agent, port: 9000}"), scenario)


def test_a_server_of_another_protocol_is_a_new_one() -> None:
    async def scenario(at: Reforming) -> None:
        at.balancer.order("dns/ns1", "drain")
        at.go_over(BASE.replace("protocol: udp", "protocol: tcp"))
        assert at.control.server("ns1", "dns").admin == "ready"

    reforming(BASE, scenario)
