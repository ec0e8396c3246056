"""Services and servers that stay, come and go while a worker forwards."""

from .reloaded import Farm, config, service


def test_sessions_of_servers_that_stay_go_on():
    farm = Farm(config(web=service(["web1", "web2"])))
    chosen = {sport: farm.open(sport) for sport in range(4000, 4006)}
    farm.site.take_over(config(web=service(["web3", "web2", "web1"], refuse="drop"), new=service(["web1"], port=81)))
    for sport, server in chosen.items():
        farm.talk(server, sport)
    assert farm.site.drops() == {}


def test_figures_go_on():
    farm = Farm(config(web=service(["web1", "web2"])))
    for sport in range(4000, 4004):
        farm.talk(farm.open(sport), sport)
    before = {name: farm.site.server(name) for name in ("web1", "web2")}
    port, counters = farm.site.built.workers.port(farm.site.built.ports["client"]), farm.site.built.workers.counters()
    farm.site.take_over(config(web=service(["web2", "web1"])))
    assert {name: farm.site.server(name) for name in ("web1", "web2")} == before
    assert farm.site.built.workers.port(farm.site.built.ports["client"]) == port
    assert farm.site.built.workers.counters() == counters
    assert before["web1"]["sessions_active"] == 2


def test_round_robin_goes_on_behind_the_last():
    farm = Farm(config(web=service(["web1", "web2", "web3", "web4"])))
    assert [farm.ask(sport) for sport in (4000, 4001)] == ["web1", "web2"]
    farm.site.take_over(config(web=service(["web4", "web1", "web2", "web3"])))
    assert [farm.ask(sport) for sport in (4002, 4003, 4004)] == ["web3", "web4", "web1"]


def test_round_robin_goes_on_behind_the_one_before_where_the_last_has_left():
    farm = Farm(config(web=service(["web1", "web2", "web3", "web4"])))
    assert [farm.ask(sport) for sport in (4000, 4001)] == ["web1", "web2"]
    farm.site.take_over(config(web=service(["web1", "web3", "web4"])))
    assert [farm.ask(sport) for sport in (4002, 4003)] == ["web3", "web4"]


def test_tcp_of_a_server_that_left_goes_on_to_its_end():
    farm = Farm(config(web=service(["web1", "web2"])))
    assert [farm.open(sport) for sport in (4000, 4001)] == ["web1", "web2"]
    left = farm.site.built.servers["web", "web1"]
    farm.site.take_over(config(web=service(["web2"])))
    assert left in farm.site.built.indices.servers.left
    farm.talk("web1", 4000)
    assert [farm.open(sport) for sport in (4002, 4003)] == ["web2", "web2"]
    assert farm.ask(4000, "FA") == "web1"
    farm.answer("web1", 4000, "FA")
    assert farm.ask(4000, "A") == "web1"
    # A connection from the same end point is a new one.
    assert farm.ask(4000, "S") == "web2"
    assert farm.site.drops() == {}


def test_a_syn_that_a_server_which_left_has_not_answered_goes_to_another():
    farm = Farm(config(web=service(["web1", "web2"])))
    assert farm.ask(4000) == "web1"
    farm.site.take_over(config(web=service(["web2"])))
    assert farm.ask(4000) == "web2"


def test_datagrams_to_a_server_that_left_are_scheduled_anew():
    farm = Farm(config(web=service(["web1", "web2"], protocol="udp")))
    assert farm.ask(4000, protocol="udp") == "web1"
    farm.answer("web1", 4000, protocol="udp")
    farm.site.take_over(config(web=service(["web2"], protocol="udp")))
    farm.answer("web1", 4000, protocol="udp")
    assert farm.ask(4000, protocol="udp") == "web2"


def test_an_index_is_used_again_when_it_is_free_and_has_rested():
    farm = Farm(config(web=service(["web1", "web2"])))
    assert [farm.open(sport) for sport in (4000, 4001)] == ["web1", "web2"]
    first, second = (farm.site.built.servers["web", name] for name in ("web1", "web2"))
    farm.site.take_over(config(web=service(["web3"])))
    assert farm.site.built.servers["web", "web3"] not in (first, second)
    farm.site.built.workers.flush_sessions(server=second)
    farm.site.take_over(config(web=service(["web3", "web4", "web5"])))
    assert farm.site.built.servers["web", "web4"] == second
    assert farm.site.server("web4")["sessions_total"] == 0
    assert first not in farm.site.built.servers.values()
    farm.talk("web1", 4000)


def test_a_server_that_comes_back_is_another_and_sessions_of_before_go_on():
    farm = Farm(config(web=service(["web1", "web2"])))
    assert farm.open(4000) == "web1"
    farm.site.take_over(config(web=service(["web2"])))
    farm.site.take_over(config(web=service(["web2"], refuse="drop")))
    farm.site.take_over(config(web=service(["web1", "web2"])))
    farm.talk("web1", 4000)
    assert farm.site.server("web1")["sessions_total"] == 0
    # Also while it is not known whether the one that came is up.
    farm.site.built.workers.set_server(farm.site.built.servers["web", "web1"], ready=0, weight=1)
    farm.talk("web1", 4000)
    farm.site.built.workers.set_server(farm.site.built.servers["web", "web1"], ready=1, weight=1)
    assert {farm.open(sport) for sport in (4001, 4002)} == {"web1", "web2"}


def test_a_server_at_another_address_is_another():
    farm = Farm(config(web=service({"a": "10.0.2.11"})))
    assert farm.open(4000) == "web1"
    farm.site.take_over(config(web=service({"a": "10.0.2.12"})))
    farm.talk("web1", 4000)
    assert farm.open(4001) == "web2"


def test_a_server_is_as_it_was_said_last_to_be():
    farm = Farm(config(web=service(["web1", "web2", "web3"])))
    farm.site.built.workers.set_server(farm.site.built.servers["web", "web1"], ready=0, weight=1)
    farm.site.built.workers.set_server(farm.site.built.servers["web", "web2"], ready=1, weight=0)
    farm.site.take_over(config(web=service(["web1", "web2", "web3", "web4"])))
    assert {farm.open(sport) for sport in range(4000, 4006)} == {"web3", "web4"}


def test_sessions_of_a_service_that_left_go_on_where_its_vip_is_still_one():
    farm = Farm(config(web=service(["web1"]), other=service(["web2"], port=81)))
    assert farm.open(4000) == "web1"
    farm.site.take_over(config(other=service(["web2"], port=81)))
    farm.talk("web1", 4000)
    assert farm.ask(4001) is None
    assert len(farm.site.taken("client")) == 1
    assert farm.site.drops() == {"no_service": 1}
    assert farm.open(4002, dport=81) == "web2"


def test_a_vip_that_left_is_nobodys_and_one_that_comes_is_announced_at_once():
    farm = Farm(config(web=service(["web1"])))
    farm.open(4000)
    farm.site.take_over(config(web=service(["web1"], vip="10.0.1.101")))
    farm.site.wait(3.0)
    said = farm.site.taken("client")
    assert [(frame[28:32], frame[38:42]) for frame in said] == 3 * [(bytes([10, 0, 1, 101]),) * 2]
    assert farm.open(4001, vip="10.0.1.101") == "web1"
    assert farm.ask(4002, vip="10.0.1.100") is None


def test_vips_that_stay_are_not_announced_again():
    farm = Farm(config(web=service(["web1"])))
    farm.site.take_over(config(web=service(["web1", "web2"])))
    farm.site.wait(3.0)
    assert farm.site.taken("client") == []


def test_a_server_that_left_is_not_brought_back_by_what_is_still_said_of_it():
    farm = Farm(config(web=service(["web1", "web2"], protocol="udp")))
    assert farm.ask(4000, protocol="udp") == "web1"
    left = farm.site.built.servers["web", "web1"]
    farm.site.take_over(config(web=service(["web2"], protocol="udp")))
    farm.site.built.workers.set_server(left, ready=1, weight=1)
    assert farm.ask(4000, protocol="udp") == "web2"
    farm.site.audit()


def test_a_decision_is_not_said_to_be_of_whoever_has_the_index_now():
    farm = Farm(config(web=service(["web1", "web2"])))
    assert [farm.open(sport) for sport in (4000, 4001)] == ["web1", "web2"]
    left = farm.site.built.servers["web", "web1"]
    farm.site.take_over(config(web=service(["web2"])))
    assert [row["client_port"] for row in farm.site.built.workers.decisions()] == [4000, 4001]
    farm.site.built.workers.flush_sessions(server=left)
    farm.site.take_over(config(web=service(["web2", "web3"])))
    assert farm.site.built.servers["web", "web3"] == left
    assert [row["client_port"] for row in farm.site.built.workers.decisions()] == [4001]
