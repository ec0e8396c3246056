"""Rows of `swlb show` before any traffic: names, values and forms that need no kernel."""

import json
import re
import time

import pytest
from control import CONFIG, control

from swlb._testing_sessions import Sessions
from swlb.figures import NOUNS, drops, fdb, health, servers, services, session_slices, sessions, timeouts
from swlb.tables import COLUMNS, EMPTY, print_table


@pytest.mark.parametrize("noun", NOUNS)
def test_rows_are_json(noun):
    json.dumps(NOUNS[noun](control()))


def test_one_vip_is_a_string_and_two_are_a_list():
    assert [row["vip"] for row in services(control())] == [["10.0.1.100", "fd00:1::100"], "10.0.1.100"]


def test_one_port_is_a_number_and_a_range_is_a_string():
    assert [row["port"] for row in services(control())] == [80, "53-54"]


def test_any_port_is_said_so():
    text = CONFIG.replace('vip: 10.0.1.100\n    port: "53-54"', "vip: 10.0.1.101\n    port: any")
    (_, row) = services(control(text))
    assert row["port"] == "any"


def test_a_service_tells_how_it_forwards():
    (web, dns) = services(control(CONFIG.replace("port: 80\n", "port: 80\n    source_nat: always\n")))
    assert (web["forward"], web["source_nat"]) == ("nat", "always")
    assert (dns["forward"], dns["source_nat"]) == ("nat", "auto")


def test_a_service_has_as_many_sessions_open_as_its_servers():
    run = control()
    table = Sessions(run.built.workers[0], 4)
    for port, server in ((1, "web1"), (2, "web2"), (3, "web2")):
        client = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
        table.insert(client, port, 6, 80, run.built.servers["web", server], 0, 3)
    assert [row["sessions_open"] for row in services(run)] == [3, 0]


def test_a_server_that_keeps_the_client_s_port_has_none():
    assert {row["server"]: row["port"] for row in servers(control())}["ns1"] is None


def test_a_server_without_a_check_has_no_check_status():
    row = servers(control())[-1]
    assert row["server"] == "ns1"
    assert (row["check_status"], row["check_duration_ms"], row["reason"]) == (None, None, "no check")


def test_servers_stand_in_the_configuration_s_order():
    assert [row["server"] for row in servers(control())] == ["web1", "web2", "web1v6", "ns1"]


def test_only_checked_servers_are_in_health():
    assert {row["service"] for row in health(control())} <= {"web"}


def test_a_segment_s_own_mac_is_static():
    rows = fdb(control())
    assert [(row["segment"], row["static"]) for row in rows] == [("outside", True), ("inside", True)]


def test_there_are_no_sessions_yet():
    assert sessions(control()) == []


def test_every_drop_reason_is_a_row_in_lower_case():
    rows = drops(control())
    assert len({row["reason"] for row in rows}) == len(rows) > 30
    assert all(row["reason"].islower() and row["frames"] == 0 for row in rows)


def test_timeouts_are_the_configuration_s():
    changed = control(CONFIG.replace("mode: routed\n", "mode: routed\ntimeouts: {udp: 7s}\n"))
    assert {row["name"]: row["seconds"] for row in timeouts(changed)}["udp"] == 7.0


def test_every_timeout_says_what_it_is_of():
    assert all(row["meaning"] for row in timeouts(control()))


@pytest.mark.parametrize("noun", NOUNS)
def test_people_see_only_columns_that_there_are(noun):
    for row in NOUNS[noun](control()):
        assert set(COLUMNS[noun]) <= set(row)


@pytest.mark.parametrize("noun", EMPTY)
def test_an_empty_table_is_a_sentence(noun, capsys):
    print_table(noun, [])
    assert capsys.readouterr().out == EMPTY[noun] + "\n"


def health_rows(**more: object) -> list[dict]:
    row = dict.fromkeys(COLUMNS["health"], "") | {"service": "web", "server": "web1", "check": "0", "via": "server"}
    row |= {"last": "✓✓✗" * 5 + "✓", "next": "probe in 1.2 s", "ok": True, "detail": "connected", "warning": ""}
    return [row, row | {"server": "web2"} | more]


def test_people_see_the_last_probes_as_a_strip(capsys):
    print_table("health", health_rows())
    assert "✓✓✗" in capsys.readouterr().out


def test_people_read_below_the_table_what_did_not_end_well_and_what_warns(capsys):
    print_table("health", health_rows())
    assert len(capsys.readouterr().out.splitlines()) == 3
    print_table("health", health_rows(ok=False, detail="refused by [::1]:80", warning=""))
    assert capsys.readouterr().out.endswith("\n\nweb/web2 0: refused by [::1]:80\n")
    print_table("health", health_rows(warning="it expires"))
    assert capsys.readouterr().out.endswith("\n\nweb/web2 0: it expires\n")


def test_the_way_of_probes_has_a_column_where_some_go_through_a_vip(capsys):
    print_table("health", health_rows())
    assert " via " not in capsys.readouterr().out
    print_table("health", health_rows(via="vip"))
    assert " via " in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "width"), [(100, 100), (60, 100)])
def test_what_happens_next_is_folded_on_a_terminal_and_whole_in_a_pipe(capsys, monkeypatch, columns, width):
    rows = health_rows(next="probe in 0.7 s; down after 1 more failure, or in 1.7 s (timeout)", operational="checking")
    rows[1] |= {"type": "agent", "check_status": "L7OK", "check": "answers"}
    print_table("health", rows)
    assert any(line.rstrip().endswith(rows[1]["next"]) for line in capsys.readouterr().out.splitlines())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table("health", rows)
    lines = re.sub("\x1b[^m]*m", "", capsys.readouterr().out).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= width


def test_brackets_of_an_ipv6_endpoint_survive_the_table(capsys):
    row = dict.fromkeys(COLUMNS["sessions"], "x") | {"client": "[fd00::1]:80"}
    print_table("sessions", [row])
    assert "[fd00::1]:80" in capsys.readouterr().out


def test_many_sessions_are_told_in_slices():
    run = control(CONFIG.replace("sessions: 100}", "sessions: 10000}"))
    table = Sessions(run.built.workers[0], 4)
    client = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
    for port in range(1, 5001):
        table.insert(client, port, 6, 80, 0, time.monotonic_ns() // 10**6 % 2**32, 3)
    lengths = [len(rows) for rows in session_slices(run)]
    assert sum(lengths) == 5000
    assert max(lengths) <= 192
    assert sorted(row["client"] for row in sessions(run)) == sorted(f"192.0.2.1:{port}" for port in range(1, 5001))
