"""What a reload would do: its steps, how many sessions each touches, and what becomes of them."""

from collections import Counter
from fractions import Fraction

import pytest
from config_text import changed
from control import CONFIG, control
from oracle import hashing
from rich.console import Console

from swlb import plan_table
from swlb.config import Config, parse
from swlb.plan import Held, Present, held_by, plan
from swlb.plan_table import print_plan
from swlb.servers import READY_MAINT, READY_UP

TEXT = changed("dns: {vip: 10.0.1.100, port: 53, protocol: udp}",
               "dns: {vip: 10.0.1.100, port: 53, protocol: udp,\n"
               "        servers: {ns1: {address: 10.0.2.11}, ns2: {address: 10.0.2.12}}}")  # fmt: skip
HELD = {("web", "web1"): Held(3), ("web", "web2"): Held(1), ("dns", "ns1"): Held(7), ("dns", "ns2"): Held(0)}
WEB2 = "      web2: {address: 10.0.2.12, port: 8080}\n"
NS1 = "ns1: {address: 10.0.2.11}, "
DNS = TEXT[TEXT.index("  dns:"):]
WEB = TEXT[TEXT.index("  web:"):TEXT.index("  dns:")]


def planned(after: str, *, before: str = TEXT, **held: Held) -> dict:
    """The plan from the text before to the one after; `held` is by server."""
    figures = HELD | {key: held[key[1]] for key in HELD if key[1] in held}
    return plan(Present(parse(before, file="a"), figures), parse(after, file="b"))


def touched(told: dict) -> dict[str, tuple[str, int, str]]:
    """Action, sessions and effect of each step by name."""
    return {step["name"]: (step["action"], step["sessions"], step["effect"]) for step in told["steps"]}


def test_the_same_file_has_no_step():
    assert planned(TEXT) == {"steps": [], "sentence": "nothing is different: a reload would change nothing"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("8080}\n      web2", "8080, weight: 3}\n      web2"), ("10.0.2.12, port", "10.0.2.12, backup: true, port"),
     ("port: 80\n", "port: 80\n    slow_start: 30s\n"), ("port: 80\n", "port: 81\n"),
     ("port: 80\n", "port: 80\n    scheduler: maglev\n"), (WEB2, f"      web3: {{address: 10.0.2.13}}\n{WEB2}"),
     ("10.0.2.12, port", "10.0.2.12, max_connections: 5, port"), ("{tap: sws1}", "{tap: sws1, mtu: 9000}")],
)  # fmt: skip
def test_what_stays_does_not_notice(old, new):
    told = planned(changed(old, new, TEXT))
    assert [(step["sessions"], step["effect"]) for step in told["steps"]] == [(0, "")]
    assert told["sentence"].endswith("; no session is touched")


def test_connections_of_a_server_that_leaves_go_on():
    told = planned(changed(WEB2, "", TEXT))
    assert touched(told) == {"web/web2": ("remove", 1, "1 connection goes on to its end")}
    assert told["sentence"] == "1 server removed; 1 session is touched"


def test_connections_of_a_server_that_is_replaced_go_on():
    told = planned(changed("10.0.2.11, port: 8080", "10.0.2.11, port: 8081", TEXT))
    assert touched(told) == {"web/web1": ("replace", 3, "3 connections go on to their end")}
    assert told["steps"][0]["details"] == ["port 8080 -> 8081"]


def test_datagrams_of_a_server_that_leaves_get_another():
    told = planned(changed(NS1, "", TEXT))
    assert touched(told) == {"dns/ns1": ("remove", 7, "7 sessions get another server at their next packet")}


@pytest.mark.parametrize("after", [
    TEXT.replace(DNS, ""),
    changed(NS1, "", TEXT).replace("10.0.2.12}}", "10.0.2.12, weight: 0}}"),
    changed(NS1, "", TEXT).replace("port: 53", "port: 54"),
], ids=["service", "server", "port"])  # fmt: skip
def test_datagrams_that_nobody_takes_any_more_are_refused(after):
    assert touched(planned(after))["dns/ns1"] == ("remove", 7, "7 sessions are refused at their next packet")


def test_datagrams_of_a_service_that_another_stands_in_for_get_another_server():
    told = planned(TEXT.replace("  dns:", "  names:"))
    assert touched(told)["dns/ns1"] == ("remove", 7, "7 sessions get another server at their next packet")
    steps = "1 service added, 2 servers added, 1 service removed, 2 servers removed"
    assert told["sentence"] == f"{steps}; 7 sessions are touched"


def test_sessions_of_a_service_that_leaves_are_told_once_each_with_their_server():
    told = planned(TEXT.replace(WEB, ""))
    assert touched(told) == {
        "web": ("remove", 0, ""),
        "web/web1": ("remove", 3, "3 connections go on to their end"),
        "web/web2": ("remove", 1, "1 connection goes on to its end"),
    }


def test_whoever_calls_a_vip_that_leaves_is_answered_no_more():
    told = planned(changed("vip: 10.0.1.100\n", "vip: 10.0.1.101\n", TEXT).replace(DNS, ""))
    text = "4 connections get no answer any more, as their VIP leaves: drain the servers first to let them end"
    assert touched(told)["web"] == ("replace", 4, text)
    assert touched(told)["dns/ns1"][2].startswith("7 sessions get no answer any more")
    assert told["sentence"].endswith("; 11 sessions are touched")


def test_a_vip_that_another_service_has_stays():
    told = planned(changed("vip: 10.0.1.100\n", "vip: 10.0.1.101\n", TEXT))
    assert touched(told) == {"web": ("replace", 4, "4 connections go on to their end")}


def test_of_two_vips_only_the_clients_of_the_one_that_leaves_are_cut():
    two = changed("vip: 10.0.1.100\n", 'vip: [10.0.1.99, "fd00:1::100"]\n', TEXT)
    two = two.replace("10.0.2.12, port", '"fd00:2::12", port').replace("[10.0.2.1/24]", '[10.0.2.1/24, "fd00:2::1/64"]')
    one = two.replace('"fd00:1::100"]', '"fd00:1::101"]')
    text = "3 connections go on to their end; 1 connection gets no answer any more, as its VIP leaves"
    assert touched(planned(one, before=two))["web"][2].startswith(text)


@pytest.mark.parametrize(("on_down", "effect"), [
    ("", "1 connection ends at its next packet, as the server is down"),
    ("reset", "1 connection ends at its next packet, as the server is down"),
    ("reschedule", "1 connection ends at its next packet, as the server is down"),
    ("drop", "1 connection gets no answer, as the server is down"),
    ("keep", "1 connection goes on to its end"),
])  # fmt: skip
def test_connections_of_a_server_that_is_down_meet_what_on_down_says(on_down, effect):
    before = changed("port: 80\n", f"port: 80\n    on_down: {on_down}\n", TEXT) if on_down else TEXT
    told = planned(before.replace(WEB2, ""), before=before, web2=Held(1, serves=False))
    assert touched(told)["web/web2"] == ("remove", 1, effect)


@pytest.mark.parametrize(("on_down", "effect"), [
    ("keep", "get another server at their next packet"), ("reschedule", "get another server at their next packet"),
    ("reset", "end at their next packet, as the server is down"), ("drop", "get no answer, as the server is down"),
])  # fmt: skip
def test_so_do_datagrams(on_down, effect):
    before = changed("protocol: udp", f"protocol: udp, on_down: {on_down}", TEXT)
    told = planned(before.replace(NS1, ""), before=before, ns1=Held(7, serves=False))
    assert touched(told)["dns/ns1"] == ("remove", 7, f"7 sessions {effect}")


def test_the_service_that_stays_says_what_becomes_of_them():
    after = changed("port: 80\n", "port: 80\n    on_down: keep\n", TEXT).replace(WEB2, "")
    told = planned(after, web2=Held(1, serves=False))
    assert touched(told)["web/web2"] == ("remove", 1, "1 connection goes on to its end")


def test_clients_that_are_forgotten_are_told():
    before = changed("port: 80\n", "port: 80\n    persistence: {by: source, mask: 24}\n", TEXT)
    told = planned(before.replace("mask: 24", "mask: 16"), before=before)
    assert touched(told) == {"web": ("change", 0, "who was to come back to which server is forgotten")}
    assert touched(planned(before.replace("mask: 24", "mask: 24, timeout: 9m"), before=before))["web"][2] == ""


def test_a_device_that_is_lost_is_opened_anew():
    config = parse(TEXT, file="a")
    told = plan(Present(config, HELD, lost=["web2", "no port any more"]), config)
    assert [(step["kind"], step["name"]) for step in told["steps"]] == [("port", "web2")]
    assert told["sentence"] == "1 port changed; no session is touched"


# ---- which share moves ----

HASHED = changed("port: 80\n", "port: 80\n    scheduler: hash\n", TEXT)


def twins(config: Config) -> list[hashing.Server]:
    return [hashing.Server(str(it.address), it.port, it.weight) for it in config.services["web"].servers.values()]


def moved_by_tables(before: list[hashing.Server], after: list[hashing.Server]) -> Fraction:
    """The share of places of Maglev's table that another server has."""
    places = zip(hashing.maglev(before), hashing.maglev(after), strict=True)
    return Fraction(sum(before[a].address != after[b].address for a, b in places), hashing.PRIME)


@pytest.mark.parametrize("scheduler", ["hash", "maglev"])
@pytest.mark.parametrize(
    ("old", "new"),
    [("8080}\n      web2", "8080, weight: 3}\n      web2"), (WEB2, ""),
     ("  dns:", "      web3: {address: 10.0.2.13, port: 8080}\n  dns:"), ("10.0.2.12, port", "10.0.2.22, port")],
    ids=["weight", "remove", "add", "replace"],
)  # fmt: skip
def test_what_moves_is_what_the_twin_says(scheduler, old, new):
    before = HASHED.replace("scheduler: hash", f"scheduler: {scheduler}")
    after = changed(old, new, before)
    *_, row = planned(after, before=before)["steps"]
    servers = [twins(parse(text, file="a")) for text in (before, after)]
    judge = moved_by_tables if scheduler == "maglev" else hashing.moved_by_modulo
    share = judge(*servers)
    assert (row["action"], row["kind"], row["name"], row["sessions"]) == ("move", "hash space", "web", 0)
    assert row["moved"] == pytest.approx(float(share))
    assert f"{float(share):.2%} of keys get another server" in row["details"][0]
    assert 0 <= row["moved_of_others"] <= 1


def test_only_a_service_that_hashes_and_stays_moves():
    for before, after in [
        (TEXT, changed(WEB2, "", TEXT)), (TEXT, HASHED), (HASHED, changed("port: 80\n", "port: 81\n", HASHED)),
        (HASHED, changed("vip: 10.0.1.100\n", "vip: 10.0.1.101\n", HASHED)), (HASHED, HASHED.replace(WEB, "")),
    ]:  # fmt: skip
        assert "move" not in Counter(step["action"] for step in planned(after, before=before)["steps"])


def test_servers_in_another_order_are_another_space_under_hash_and_the_same_under_maglev():
    web1 = "      web1: {address: 10.0.2.11, port: 8080}\n"
    for scheduler, actions in (("hash", ["change", "move"]), ("maglev", ["change"])):
        before = HASHED.replace("scheduler: hash", f"scheduler: {scheduler}")
        told = planned(before.replace(web1, "").replace(WEB2, WEB2 + web1), before=before)
        assert [step["action"] for step in told["steps"]] == actions
        assert told["steps"][0]["details"] == ["order of servers"]


# ---- what is told of a running swlb ----


@pytest.mark.parametrize(
    ("order", "serves"), [("ready", True), ("drain", True), ("weight=0", True), ("maint", False)]
)
def test_a_server_serves_known_sessions_unless_it_is_down_or_out(order, serves):
    at = control()
    at.balancer.order("web/web1", order)
    assert held_by(at.built.workers, at.built.servers["web", "web1"]) == Held(0, serves=serves)


def test_a_server_that_is_down_does_not_serve():
    at = control(CONFIG.replace("initial: up", "initial: down"))
    assert not at.built.workers.wanted(at.built.servers["web", "web1"])["ready"] & (READY_UP | READY_MAINT)
    assert held_by(at.built.workers, at.built.servers["web", "web1"]) == Held(0, serves=False)
    assert held_by(at.built.workers, at.built.servers["dns", "ns1"]) == Held(0, serves=True)


# ---- the table ----


def printed(monkeypatch, capsys, told: dict, *, terminal: int | None = None) -> list[str]:
    """The lines for people, on a terminal of that width or in a pipe."""
    options = {"force_terminal": True, "width": terminal, "color_system": None} if terminal else {}
    monkeypatch.setattr(plan_table, "Console", lambda **more: Console(**more, **options))
    print_plan(told["steps"], told["sentence"], file="new.yaml")
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_each_step_is_a_line_and_the_next_command_is_told(monkeypatch, capsys):
    after = changed(WEB2, "", HASHED).replace("  dns:", "      x: {address: 10.0.2.13}\n  dns:")
    after = after.replace("port: 80\n", "port: 81\n")
    lines = printed(monkeypatch, capsys, planned(after, before=HASHED))
    assert [line.split()[0] for line in lines[:4]] == ["~", "+", "-", ">"]
    assert lines[0].split(maxsplit=3) == ["~", "service", "web", "port 80 -> 81"]
    assert lines[2].split(maxsplit=3) == ["-", "server", "web/web2", "1 connection goes on to its end"]
    assert lines[-2:] == ["1 service changed, 1 server added, 1 server removed; 1 session is touched",
                          "Nothing has changed yet: swlb reload new.yaml"]  # fmt: skip


def test_without_a_step_there_is_the_sentence_alone(monkeypatch, capsys):
    assert printed(monkeypatch, capsys, planned(TEXT)) == ["nothing is different: a reload would change nothing"]


def test_in_a_pipe_no_line_is_folded_and_on_a_terminal_only_the_text(monkeypatch, capsys):
    told = planned(changed("vip: 10.0.1.100\n", "vip: 10.0.1.101\n", TEXT).replace(DNS, ""))
    lines = printed(monkeypatch, capsys, told)
    assert len(lines) == len(told["steps"]) + 2
    assert max(map(len, lines)) > 120
    folded = printed(monkeypatch, capsys, told, terminal=60)
    assert max(map(len, folded[:-2])) <= 60
    assert Counter(" ".join(folded[:-2]).split()) == Counter(" ".join(lines[:-2]).split())


def test_what_looks_like_markup_is_printed_as_it_is(monkeypatch, capsys):
    step = planned(changed(WEB2, "", TEXT))["steps"][0] | {"name": "web/[red]", "details": ["vip [a, b] -> [/c]"]}
    lines = printed(monkeypatch, capsys, {"steps": [step], "sentence": "[bold]"})
    assert "web/[red]" in lines[0]
    assert "vip [a, b] -> [/c]; 1 connection" in lines[0]
    assert lines[1] == "[bold]"
