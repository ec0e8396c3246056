"""Which sessions are asked for, in words: what they mean, and what is said of wrong ones. No kernel."""

import time
from ipaddress import ip_address

import pytest
from control import CONFIG, control

from swlb._testing_sessions import Sessions
from swlb.addresses import packed
from swlb.errors import SwlbError
from swlb.figures import slices, total
from tests.ext.values import STATES

ESTABLISHED, TWO_WAY = STATES["ESTABLISHED"], STATES["TWO_WAY"]
ROWS = {  # client: (protocol, server, state)
    "192.0.2.1": (6, "web1", ESTABLISHED),
    "192.0.2.2": (6, "web2", ESTABLISHED),
    "192.0.2.130": (6, "web1", TWO_WAY),
    "198.51.100.7": (17, "ns1", TWO_WAY),
    "2001:db8::1": (6, "web1v6", ESTABLISHED),
}


@pytest.fixture(scope="module")
def run():
    made = control(CONFIG)
    for client, (protocol, server, state) in ROWS.items():
        table = Sessions(made.built.workers[0], 6 if ":" in client else 4)
        service = "dns" if server == "ns1" else "web"
        now_ms = time.monotonic_ns() // 10**6 % 2**32
        table.insert(packed(ip_address(client)), 1024, protocol, 80, made.built.servers[service, server], now_ms, state)
    return made


def clients(run, **asked: str) -> set[str]:
    """The addresses of the clients of the sessions that are shown."""
    rows = [row for rows in slices(run, "sessions", asked) for row in rows]
    return {row["client"].rpartition(":")[0].strip("[]") for row in rows}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, set(ROWS)),
        ({"client": "192.0.2.1"}, {"192.0.2.1"}),
        ({"client": "192.0.2.0/25"}, {"192.0.2.1", "192.0.2.2"}),
        ({"client": "192.0.2.77/25"}, {"192.0.2.1", "192.0.2.2"}),
        ({"client": "2001:db8::/32"}, {"2001:db8::1"}),
        ({"client": "::/0"}, {"2001:db8::1"}),
        ({"service": "dns"}, {"198.51.100.7"}),
        ({"server": "web/web1"}, {"192.0.2.1", "192.0.2.130"}),
        ({"server": "web/web1", "service": "dns"}, set()),
        ({"state": "two_way"}, {"192.0.2.130", "198.51.100.7"}),
        ({"state": "two-way"}, {"192.0.2.130", "198.51.100.7"}),
        ({"protocol": "udp"}, {"198.51.100.7"}),
        ({"protocol": "ICMP"}, set()),
        ({"protocol": "tcp", "state": "ESTABLISHED", "client": "192.0.2.0/24"}, {"192.0.2.1", "192.0.2.2"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",  # a set has no order, and so no name
)
def test_sessions_are_chosen_by_all_that_is_asked(run, asked, wanted):
    assert clients(run, **asked) == wanted


@pytest.mark.parametrize(("limit", "n"), [("1", 1), ("4", 4), ("5", 5), ("600", 5)])
def test_no_more_are_told_than_are_wanted(run, limit, n):
    assert len(clients(run, limit=limit)) == n


def test_of_how_many_is_known_beforehand(run):
    assert (total(run, "sessions"), total(run, "servers")) == (5, None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"client": "web"}, "client 'web': expected an address or a prefix"),
        ({"client": "10.0.0.0/33"}, "expected an address or a prefix"),
        ({"state": "ASLEEP"}, "state 'ASLEEP': expected SYN_SENT, SYN_RECV, ESTABLISHED"),
        ({"protocol": "sctp"}, "protocol 'sctp': expected tcp, udp or icmp"),
        ({"limit": "0"}, "limit '0': expected a whole number from 1"),
        ({"limit": "many"}, "limit 'many'"),
        ({"limit": "²"}, "limit '²'"),
        ({"color": "blue"}, "not chosen by color, but by client, service"),
    ],
    ids=str,
)
def test_words_that_mean_nothing_are_refused_with_those_that_do(run, asked, said):
    with pytest.raises(ValueError, match=said):
        slices(run, "sessions", asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"service": "mail"}, "no service 'mail'; there are: web, dns"), ({"server": "web/web9"}, "there are: web/web1")],
    ids=str,
)
def test_what_is_not_there_is_refused_with_what_is(run, asked, said):
    with pytest.raises(SwlbError, match=said):
        slices(run, "sessions", asked)


@pytest.mark.parametrize(("noun", "asked"), [("ports", {"service": "web"}), ("decisions", {"state": "CLOSED"})])
def test_other_nouns_cannot_be_chosen_from(run, noun, asked):
    with pytest.raises(ValueError, match=f"{noun} are not chosen by {next(iter(asked))}"):
        slices(run, noun, asked)
