"""What a change of the configuration means for services, for what workers know, and for what is told."""

from control import CONFIG
from reforming import Reforming, reforming
from told import DOWN

from swlb.succession import Departed, by_index

TIMED = "{type: tcp, initial: up, interval: 2s, retries: 2, dead_interval: 2s, rise: 2, timeout: 1h}"
BASE = CONFIG.replace("{type: tcp, initial: up}", TIMED)
WEB1, WEB2 = "10.0.2.11", "10.0.2.12"
PASSIVE = "    passive: {failures: 3, within: 10s, action: down, back_off: 50s, back_off_max: 1h}\n"
CHECK = f"    check: {TIMED}\n"
SERVERS = BASE[BASE.index("    servers:\n") : BASE.index("  dns:")]


def fallen(at: Reforming, *addresses: str) -> None:
    """The servers of these addresses answer no probe."""
    for address in addresses:
        at.told.outcomes["tcp", address] = DOWN


# ---- what workers know ----


def test_the_workers_never_hear_that_a_server_which_stays_up_is_not() -> None:
    async def scenario(at: Reforming) -> None:
        fallen(at, WEB1)
        at.balancer.order("web/web2", "weight=9")
        await at.until(105.0)
        at.go_over(BASE.replace("port: 80\n", "port: 80\n    scheduler: wrr\n"))
        names = {index: "/".join(key) for key, index in at.control.built.servers.items()}
        told = {(names[index], said["ready"], said["weight"]) for index, said in at.said}
        assert told == {("web/web1", 0, 4), ("web/web2", 1, 9), ("web/web1v6", 1, 1), ("dns/ns1", 1, 1)}

    reforming(BASE, scenario)


def test_the_workers_know_a_weight_of_the_file() -> None:
    async def scenario(at: Reforming) -> None:
        at.go_over(BASE.replace("weight: 4", "weight: 5"))
        assert at.last_said("weight")["web/web1"] == 5

    reforming(BASE, scenario)


# ---- services ----


def test_a_service_that_loses_the_servers_that_are_up_has_none_left() -> None:
    async def scenario(at: Reforming) -> None:
        fallen(at, WEB1)
        await at.until(105.0)
        at.go_over(BASE.replace("      web2: {address: 10.0.2.12, port: 8080}\n", "").replace(
            '      web1v6: {address: "fd00:2::11", port: 8080}\n', ""
        ).replace('[10.0.1.100, "fd00:1::100"]', "10.0.1.100"))  # fmt: skip
        assert at.events("service_down") == ["service web has no server left"]

    reforming(BASE, scenario)


def test_a_service_without_servers_has_none_left_and_serves_again_with_one() -> None:
    async def scenario(at: Reforming) -> None:
        at.go_over(BASE.replace(SERVERS, ""))
        assert at.events("service_down") == ["service web has no server left"]
        at.go_over(BASE)
        assert at.events("service_up") == ["service web can serve"]

    reforming(BASE, scenario)


def test_a_new_service_is_no_news_and_one_that_left_is_not_down() -> None:
    async def scenario(at: Reforming) -> None:
        at.go_over(BASE.replace("  dns:", "  ntp:").replace('"53-54"', "123"))
        assert at.events() == []
        assert [key for key in at.balancer.servers if key[0] != "web"] == [("ntp", "ns1")]

    reforming(BASE, scenario)


def test_that_a_service_takes_no_new_sessions_any_more_is_said() -> None:
    async def scenario(at: Reforming) -> None:
        at.go_over(BASE.replace("weight: 4", "weight: 0").replace("8080}", "8080, weight: 0}"))
        assert at.meant == ["; service web takes no new sessions"]
        at.go_over(BASE)
        assert at.meant == ["; service web takes new sessions again"]

    reforming(BASE, scenario)


def test_fail_open_takes_effect_and_ends_with_the_configuration() -> None:
    async def scenario(at: Reforming) -> None:
        fallen(at, WEB1, WEB2)
        await at.until(105.0)
        at.go_over(BASE.replace(CHECK, CHECK + "    fail_open: 50%\n"))
        assert len(at.events("fail_open")) == 1
        assert set(at.last_said("ready").values()) == {1}
        at.go_over(BASE)
        assert len(at.events("fail_open_over")) == 1
        assert at.last_said("ready") == {"web/web1": 0, "web/web2": 0, "web/web1v6": 1, "dns/ns1": 1}

    reforming(BASE, scenario)


def test_health_that_is_ignored_stays_ignored() -> None:
    async def scenario(at: Reforming) -> None:
        fallen(at, WEB1, WEB2)
        await at.until(105.0)
        at.go_over(BASE.replace(CHECK, CHECK + "    fail_open: 50%\n    scheduler: wrr\n"))
        assert {said["ready"] for _, said in at.said} == {1}
        assert len(at.events("fail_open")) == 1

    reforming(BASE.replace(CHECK, CHECK + "    fail_open: 50%\n"), scenario)


def test_servers_of_which_nothing_is_known_any_more_do_not_end_it() -> None:
    async def scenario(at: Reforming) -> None:
        fallen(at, WEB1, WEB2)
        await at.until(105.0)
        at.go_over(OPEN.replace("retries: 2", "retries: 3"))
        assert at.control.server("web1").reason == "INI"
        assert at.balancer.ignores_health("web")
        assert at.events("fail_open_over") == []

    reforming(OPEN, scenario)


OPEN = BASE.replace(CHECK, CHECK + "    fail_open: 50%\n")


# ---- passive evidence ----


def held(at: Reforming) -> None:
    """Server web1 is down on passive evidence."""
    state = at.control.server("web1")
    watched = at.balancer.traffic._watched[state.key]
    watched.passive.hold(at.clock.now())
    state.hold("L4TOUT", "3 connections were not answered", until=at.clock.now() + 50, now=at.clock.now())


def test_a_server_that_is_held_stays_so_until_its_time_is_over() -> None:
    async def scenario(at: Reforming) -> None:
        held(at)
        at.go_over(BASE.replace(CHECK, CHECK + PASSIVE.replace("failures: 3", "failures: 4")))
        await at.until(149.0)
        at.balancer.traffic.look()
        assert (at.states()["web/web1"], at.last_said("ready")["web/web1"]) == ("down", 0)
        await at.until(151.0)
        at.balancer.traffic.look()
        assert at.states()["web/web1"] == "up"

    reforming(BASE.replace(CHECK, CHECK + PASSIVE), scenario)


def test_a_server_that_is_held_stays_so_when_its_service_has_no_check_any_more() -> None:
    async def scenario(at: Reforming) -> None:
        held(at)
        at.go_over(BASE.replace(CHECK, PASSIVE))
        assert (at.states()["web/web1"], at.events("server_up")) == ("down", [])

    reforming(BASE.replace(CHECK, CHECK + PASSIVE), scenario)


def test_without_passive_nobody_is_held() -> None:
    async def scenario(at: Reforming) -> None:
        await at.until(101.0)
        held(at)
        at.go_over(BASE)
        assert at.events("server_up") == ["server web/web1 is up (was down): INI, connected; reload"]

    reforming(BASE.replace(CHECK, CHECK + PASSIVE), scenario)


def test_the_last_server_that_is_left_is_held_no_longer() -> None:
    async def scenario(at: Reforming) -> None:
        held(at)
        at.go_over(BASE.replace(CHECK, CHECK + PASSIVE).replace("      web2: {address: 10.0.2.12, port: 8080}\n", ""))
        (told,) = at.events("server_up")
        assert "no other server is left" in told

    reforming(BASE.replace(CHECK, CHECK + PASSIVE), scenario)


def test_a_service_that_wants_it_now_is_watched() -> None:
    async def scenario(at: Reforming) -> None:
        assert at.balancer.traffic._watched == {}
        at.go_over(BASE.replace(CHECK, CHECK + PASSIVE))
        assert {key[0] for key in at.balancer.traffic._watched} == {"web"}

    reforming(BASE, scenario)


# ---- probes through VIPs ----


def test_a_probe_through_the_vip_has_the_same_way_before_and_after() -> None:
    async def scenario(at: Reforming) -> None:
        await at.until(101.0)
        at.go_over(THROUGH.replace("port: 80\n", "port: 80\n    scheduler: wrr\n"))
        await at.until(103.0)
        first, second = at.asked("tcp", "10.0.1.100:80 on server 10.0.2.12")
        assert second - first == 2.0

    reforming(THROUGH, scenario)


THROUGH = BASE.replace("type: tcp", "via: vip, type: tcp")


# ---- what left ----


def test_who_had_an_index_last_is_known_until_somebody_else_has_it() -> None:
    async def scenario(at: Reforming) -> None:
        index = at.control.built.servers["dns", "ns1"]
        at.go_over(BASE[: BASE.index("  dns:")])
        gone = at.balancer.by_index[index]
        assert isinstance(gone, Departed)
        assert (gone.service.name, gone.config.name) == ("dns", "ns1")
        at.go_over(BASE)
        assert at.balancer.by_index[index] is at.balancer.servers["dns", "ns1"]

    reforming(BASE, scenario)


def test_the_double_of_a_server_is_nobody_even_where_somebody_had_its_index() -> None:
    async def scenario(at: Reforming) -> None:
        web1 = at.control.server("web1")
        double = at.control.built.doubles["web", "web1"]
        before = {double: Departed(web1.service, web1.config)}
        assert by_index({("web", "web1"): web1}, before, at.control.built) == {web1.index: web1}

    reforming(THROUGH, scenario)


def test_what_workers_say_of_a_server_that_has_left_is_no_news() -> None:
    async def scenario(at: Reforming) -> None:
        index = at.control.built.servers["dns", "ns1"]
        at.go_over(BASE[: BASE.index("  dns:")])
        at.balancer.hear_of_bypass(index, at.control.config.services["web"].vips[0])
        assert at.events("reply_bypasses") == []

    reforming(BASE, scenario)
