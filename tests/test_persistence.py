"""Persistence as the control plane tells it: rows of `swlb show persistence`, and the words about it."""

import time
from ipaddress import ip_address

import pytest
from control import CONFIG, Control, control
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from swlb.build import segment_mac
from swlb.config import parse
from swlb.errors import SwlbError
from swlb.explain import explain
from swlb.figures import slices
from swlb.persistence import is_outdated
from swlb.tables import print_table

WORDS = "{by: source, mask: 24, mask6: 64, timeout: 5m}"
PERSISTENT = CONFIG.replace("    check: {type", f"    persistence: {WORDS}\n    check: {{type").replace(
    "sessions: 100", "sessions: 10000")  # fmt: skip


def call(run: Control, *clients: str) -> None:
    """A SYN of each has come to the VIP of its family."""
    worker, mac = run.built.workers[0], segment_mac(run.config.segments["outside"]).hex(":")
    for client in clients:
        is_v4 = ip_address(client).version == 4
        ip = IP(src=client, dst="10.0.1.100") if is_v4 else IPv6(src=client, dst="fd00:1::100")
        frame = Ether(src="02:00:00:00:00:99", dst=mac) / ip / TCP(sport=1024, dport=80)
        worker.put(run.built.ports["client"], bytes(frame))
        worker.turn(time.monotonic_ns())


def rows(run: Control) -> list[dict]:
    return sorted((row for some in slices(run, "persistence", {}) for row in some), key=lambda row: row["client"])


def test_nobody_is_remembered_at_first():
    assert rows(control(PERSISTENT)) == []
    assert rows(control()) == []


def test_a_row_is_a_client_as_a_prefix_with_its_server():
    run = control(PERSISTENT)
    call(run, "10.0.1.10", "10.0.1.77", "10.0.9.1", "fd00:1::10")
    told = rows(run)
    assert [(row["service"], row["client"], row["server"], row["sessions"]) for row in told] == [
        ("web", "10.0.1.0/24", "web/web1", 2),
        ("web", "10.0.9.0/24", "web/web2", 1),
        ("web", "fd00:1::/64", "web/web1v6", 1),
    ]
    assert {row["expires_s"] for row in told} == {None}
    assert all(0 <= row["age_s"] < 60 for row in told)


def test_what_is_left_is_told_once_there_are_no_sessions():
    run = control(PERSISTENT)
    call(run, "10.0.1.10")
    run.built.workers.flush_sessions()
    (row,) = rows(run)
    assert row["sessions"] == 0
    assert row["expires_s"] + row["age_s"] == pytest.approx(300.0)
    assert 200 < row["expires_s"] <= 300


def test_clients_of_a_server_that_was_down_are_not_told():
    run = control(PERSISTENT)
    call(run, "10.0.1.10", "10.0.9.1")
    run.balancer.order("web/web1", "maint")
    assert [row["server"] for row in rows(run)] == ["web/web2"]


def test_clients_of_a_server_that_drains_are_told():
    run = control(PERSISTENT)
    call(run, "10.0.1.10")
    run.balancer.order("web/web1", "drain")
    assert [row["server"] for row in rows(run)] == ["web/web1"]


def test_many_are_told_in_slices():
    run = control(PERSISTENT.replace("mask: 24", "mask: 32"))
    call(run, *(f"10.0.1.{n}" for n in range(2, 99)), *(f"10.0.{net}.7" for net in range(2, 250)))
    some = [len(told) for told in slices(run, "persistence", {})]
    assert sum(some) == len(rows(run)) == 97 + 248
    call(run, *(f"10.{a}.{b}.7" for a in (1, 2, 3) for b in range(250)))
    some = [len(told) for told in slices(run, "persistence", {})]
    assert sum(some) == 97 + 248 + 750
    assert max(some) <= 1024
    assert len(some) > 1


def test_people_read_who_has_sessions_and_how_long_others_are_remembered(capsys):
    run = control(PERSISTENT)
    call(run, "10.0.1.10")
    print_table("persistence", rows(run))
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["service", "client", "server", "sessions", "age_s", "expires_s"]
    assert line.split()[:4] == ["web", "10.0.1.0/24", "web/web1", "1"]
    assert line.split()[5] == "-"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{by: source}", "IPv4 clients and IPv6 clients come back to their server until 5m after their last session;"),
        (WORDS, "IPv4 clients whose addresses agree in the first 24 bits and IPv6 clients whose addresses agree in the "
                "first 64 bits come back to their server until 5m after their last session; not when it is down,"),
        ("{by: source, mask: 0, mask6: 1, timeout: 90s}", "IPv4 clients whose addresses are whatever they are and IPv6 "
         "clients whose addresses agree in the first 1 bit come back to their server until 1m30s after"),
    ],
)  # fmt: skip
def test_check_says_who_comes_back(written, words):
    assert words in " ".join(explain(parse(PERSISTENT.replace(WORDS, written), file="lab.yaml")).split())


@pytest.mark.parametrize(
    ("asked", "clients"),
    [
        ({}, {"10.0.1.0/24", "10.0.9.0/24", "fd00:1::/64"}),
        ({"client": "10.0.1.200"}, {"10.0.1.0/24"}),
        ({"client": "10.0.0.0/16"}, {"10.0.1.0/24", "10.0.9.0/24"}),
        ({"client": "fd00:1::77"}, {"fd00:1::/64"}),
        ({"client": "10.0.2.1"}, set()),
        ({"server": "web/web2"}, {"10.0.9.0/24"}),
        ({"service": "web"}, {"10.0.1.0/24", "10.0.9.0/24", "fd00:1::/64"}),
        ({"service": "dns"}, set()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",  # a set has no order, and so no name
)
def test_clients_are_chosen_by_all_that_is_asked(asked, clients):
    run = control(PERSISTENT)
    call(run, "10.0.1.10", "10.0.9.1", "fd00:1::10")
    assert {row["client"] for some in slices(run, "persistence", asked) for row in some} == clients


def test_no_more_clients_are_told_than_are_asked_for_and_no_server_that_is_not_there():
    run = control(PERSISTENT)
    call(run, *(f"10.{a}.{b}.7" for a in (1, 2) for b in range(250)))
    assert sum(len(told) for told in slices(run, "persistence", {"limit": "301"})) == 301
    with pytest.raises(SwlbError, match="no server 'web/web9'; there are: web/web1"):
        slices(run, "persistence", {"server": "web/web9"})


def test_check_says_how_long_a_closed_connection_is_a_session():
    text = PERSISTENT.replace("    port: 80", "    port: 80\n    timeouts: {tcp_fin: 7s}")
    said = " ".join(explain(parse(text, file="lab.yaml")).split())
    assert "or of weight 0. A closed connection is a session for 7s more (timeout tcp_fin)." in said


def test_check_says_nothing_of_persistence_where_there_is_none():
    assert "persistence" not in explain(parse(CONFIG, file="lab.yaml"))


def test_why_says_who_still_comes_to_a_server_that_drains():
    run = control(PERSISTENT)
    run.balancer.order("web/web1", "drain")
    said = "those it has go on, and its clients come back by persistence; `swlb set server web/web1 ready` undoes it."
    assert said in run.balancer.why("web/web1")["sentence"]


@pytest.mark.parametrize(
    ("now", "outdated"),
    [(WORDS, False), (WORDS.replace("5m", "1h"), False), (WORDS.replace("mask: 24", "mask: 25"), True),
     (WORDS.replace("mask6: 64", "mask6: 56"), True), (None, True)],
)  # fmt: skip
def test_other_masks_make_what_was_remembered_mean_nothing(now, outdated):
    before = parse(PERSISTENT, file="before.yaml").services["web"]
    text = PERSISTENT.replace(WORDS, now) if now else CONFIG
    assert is_outdated(before, parse(text, file="now.yaml").services["web"]) == outdated


def test_a_service_that_becomes_persistent_has_nothing_to_forget():
    services = [parse(text, file="web.yaml").services["web"] for text in (CONFIG, PERSISTENT)]
    assert not is_outdated(*services)
