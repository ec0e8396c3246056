"""Rows of `swlb show decisions`: why in words, for each scheduler and each because. No kernel."""

import time
from dataclasses import replace
from ipaddress import ip_address

import pytest
from control import control

from swlb.addresses import packed
from swlb.decisions import decision_row, decision_rows
from swlb.errors import SwlbError
from swlb.figures import decisions
from swlb.session_filter import read_filter


@pytest.fixture(scope="module")
def servers():
    return {state.index: state for state in control().balancer.servers.values()}


def decided(servers, **given: object) -> dict:
    """The row of such a decision."""
    return decision_row(decision(**given), servers)


def decision(*, client: str = "192.0.2.1", server: int = 0, **given: object) -> dict:
    """A decision for server number `server`, as a worker tells it."""
    made = {
        "at_ns": time.monotonic_ns(), "protocol": 6, "client": packed(ip_address(client)), "client_port": 1024,
        "vip_port": 80, "server": server, "named": None, "scheduler": "wlc", "hash_key": "source",
        "because": "scheduler", "backup": False, "mid_stream": False, "candidates": 4, "active": 3, "inactive": 1,
        "weight": 2, "share": 256,
    }  # fmt: skip
    return made | given


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"scheduler": "rr"}, "rr: next in turn of 4 servers"),
        ({"scheduler": "wrr"}, "wrr: next in turn by weight (2) of 4 servers"),
        ({"scheduler": "lc"}, "lc: 256x3+1 is the least of 4 servers"),
        ({"scheduler": "wlc"}, "wlc: (256x3+1)/2 is the least of 4 servers"),
        ({"scheduler": "sed"}, "sed: (3+1)/2 is the least of 4 servers"),
        ({"scheduler": "nq"}, "nq: (3+1)/2 is the least of 4 servers"),
        ({"scheduler": "nq", "active": 0}, "nq: the first of 4 servers without an active session"),
        ({"scheduler": "p2c"}, "p2c: (256x3+1)/2 is the less of two drawn from 4 servers"),
        ({"scheduler": "fo"}, "fo: the highest weight (2) of 4 servers"),
        ({"scheduler": "overflow", "weight": 5}, "overflow: the heaviest of 4 servers with room, 3 active of 5"),
        ({"scheduler": "hash"}, "hash: the hash of the client's address names it"),
        ({"scheduler": "maglev", "hash_key": "five_tuple"},
         "maglev: the hash of both addresses, both ports and the protocol names it"),
        ({"candidates": 1}, "no other server can take it"),
        ({"because": "persistence"}, "the client had it before"),
        ({"because": "next", "named": 1}, "web2 has the client's port in use already; web1 is the next that has not"),
        ({"because": "fallback", "named": 1},
         "web2, which the hash names, takes no session; web1 is the hash's next choice"),
        ({"because": "fallback"}, "the server that the hash names takes no session; web1 is the hash's next choice"),
        ({"backup": True, "candidates": 1}, "no other server can take it; it is a backup"),
        ({"weight": 9, "share": 64},
         "wlc: (256x3+1)/3 is the least of 4 servers; it starts slowly, so its weight counts in part"),
        ({"scheduler": "hash", "mid_stream": True},
         "hash: the hash of the client's address names it; its connection was in mid-stream"),
    ],
    ids=str,
)  # fmt: skip
def test_people_are_told_why(servers, given, text):
    assert decided(servers, **given)["text"] == text


def test_a_row_names_client_vip_and_server(servers):
    row = decided(servers)
    assert (row["client"], row["vip"]) == ("192.0.2.1:1024", "10.0.1.100:80")
    assert (row["service"], row["server"]) == ("web", "web1")
    row = decided(servers, client="2001:db8::1", server=2)
    assert (row["client"], row["vip"], row["server"]) == ("[2001:db8::1]:1024", "[fd00:1::100]:80", "web1v6")


def test_the_weight_is_what_of_it_counts(servers):
    assert [decided(servers, weight=5, share=share)["weight"] for share in (256, 128, 1)] == [5, 3, 1]


def test_the_time_is_that_of_events(servers):
    row = decided(servers, at_ns=time.monotonic_ns() - 5 * 10**9)
    assert time.time() - row["time"] == pytest.approx(5, abs=1)


@pytest.mark.parametrize("because", ["scheduler", "persistence", "next", "fallback"])
def test_a_server_that_is_gone_has_no_name(servers, because):
    row = decided(servers, server=99, named=98, because=because)
    assert (row["vip"], row["service"], row["server"], row["named"]) == (None, None, None, None)
    assert "None" not in row["text"]


def test_a_scheduler_of_one_s_own_is_called_by_its_name(servers):
    own = "python:mine.Own"
    state = servers[0]
    known = {0: replace(state, service=replace(state.service, scheduler=own))}
    row = decided(known, scheduler="table")
    assert (row["scheduler"], row["text"]) == (
        own,
        "python:mine.Own: its table names it, or while that names nobody its turn does",
    )


def test_decisions_of_a_service_that_is_not_there_are_refused():
    with pytest.raises(SwlbError, match="no service 'mail'; there are: web, dns"):
        decisions(control(), service="mail")


@pytest.mark.parametrize(
    ("asked", "ports"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"service": "dns"}, [3]),
        ({"service": "web"}, [1, 2, 4, 5]),
        ({"server": "web/web1"}, [1, 4]),
        ({"client": "192.0.2.0/24"}, [1, 2, 3]),
        ({"client": "2001:db8::1"}, [5]),
        ({"limit": "2"}, [4, 5]),
        ({"limit": "9"}, [1, 2, 3, 4, 5]),
        ({"server": "web/web1", "limit": "1"}, [4]),
    ],
    ids=str,
)
def test_decisions_are_chosen_by_all_that_is_asked_and_the_last_are_told(servers, asked, ports):
    at = {"/".join(state.key): index for index, state in servers.items()}
    made = [
        decision(client_port=port, client=client, server=at[server])
        for port, client, server in (
            (1, "192.0.2.1", "web/web1"),
            (2, "192.0.2.2", "web/web2"),
            (3, "192.0.2.1", "dns/ns1"),
            (4, "198.51.100.1", "web/web1"),
            (5, "2001:db8::1", "web/web1v6"),
        )
    ]
    rows = decision_rows(made, servers, read_filter(asked))
    assert [int(row["client"].rpartition(":")[2]) for row in rows] == ports
