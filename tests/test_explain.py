"""What `swlb check` prints about a good configuration."""

import pytest

from swlb.config import parse
from swlb.explain import explain
from tests.config_text import BASE, SWITCH


def explained(text: str) -> str:
    return explain(parse(text, file="lab.yaml"))


@pytest.mark.parametrize(
    "line",
    [
        "mode routed, inline: 3 ports, 2 segments, 2 services, 2 servers; room for 1000000 sessions.",
        "segment outside: 10.0.1.1/24, fd00:1::1/64",
        "  port  client  device swc0 in namespace client  mtu 1500",
        "  port  web1  device sws1 in swlb's own namespace  mtu 1500",
        "  10.0.9.0/24  via 10.0.1.254",
        "service web: 10.0.1.100, tcp port 80",
        "  server  web1  10.0.2.11:8080  weight 1",
        "  no check: servers always count as up.",
        "  no server: every client is refused, by ICMP port unreachable",
    ],
)
def test_every_part_has_its_line(line: str) -> None:
    assert line in explained(BASE).splitlines()


def test_a_check_is_explained_with_its_times() -> None:
    text = " ".join(explained(BASE).split())
    assert "check tcp every 2s, answered within 1s. Down after 3 failures in a row, or 5s after the first" in text
    assert "a server that falls silent is out within 7s. While down every 10s; up again after 2 successes" in text


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        *((name, "each of the 4 workers by itself") for name in ("rr", "wrr")),
        *((name, "each of the 4 workers counts those that it has itself")
          for name in ("lc", "wlc", "sed", "nq", "p2c", "overflow")),
        *((name, "") for name in ("hash", "maglev", "fo")),
    ],
)  # fmt: skip
def test_turns_and_counts_are_each_worker_s_own(scheduler: str, words: str) -> None:
    text = BASE.replace("port: 80\n", f"port: 80\n    scheduler: {scheduler}\n")
    assert "workers" not in explained(text)
    said = " ".join(explained(text.replace("workers: 1", "workers: 4")).split())
    # Another service of that file takes turns.
    web = said[said.index("service web") : said.index("service dns")]
    assert words in web if words else "workers" not in web


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ("10.0.2.1/24, 'fd00:2::1/64'", "the sender is told what fits."),
        ("10.0.2.1/24", "the sender is told what fits, but for IPv6, of which swlb has no address here."),
    ],
)
def test_links_of_one_segment_that_differ_are_explained(addresses: str, words: str) -> None:
    lab = "ports: {a: {tap: a, mtu: 9000}, b: {tap: b}}\nsegments: {lan: {ports: [a, b], addresses: [%s]}}\n"
    assert words in " ".join(explained(lab % addresses).split())
    assert "differ" not in explained(lab.replace("9000", "1500") % addresses)


def test_a_switch_between_links_that_differ_is_said_to_drop_what_does_not_fit() -> None:
    lab = "ports: {a: {tap: a, mtu: 9000}, b: {tap: b}}\nsegments: {lan: {ports: [a, b]}}\n"
    assert "is dropped as oversize, and its sender hears nothing" in " ".join(explained(lab).split())


def test_several_workers_are_explained() -> None:
    text = " ".join(explained(BASE.replace("workers: 1", "workers: 4")).split())
    assert "room for 1000000 sessions. 4 workers, each a thread, share them by clients." in text


def test_limits_that_concern_floods_are_explained_where_they_are_set() -> None:
    limits = "workers: 1\nlimits: {sessions: 1000, half_open: 800, sessions_per_source: 20}\n"
    text = " ".join(explained(BASE.replace("workers: 1\n", limits)).split())
    assert ("room for 1000 sessions. At most 500 may be half open. "
            "One client address (IPv6: one /64) may have 20 established." in text)  # fmt: skip
    assert "half open" not in explained(BASE)


def test_a_quota_that_follows_from_room_for_few_sessions_is_explained() -> None:
    text = BASE.replace("workers: 1\n", "workers: 1\nlimits: {sessions: 1000}\n")
    assert "room for 1000 sessions. At most 500 may be half open." in " ".join(explained(text).split())


def test_a_plain_switch_is_explained() -> None:
    assert "segment lan: no address: a switch and nothing else" in explained(SWITCH)


@pytest.mark.parametrize(
    ("kind", "line", "sentence"),
    [
        ("packet", "  port  client  packet swc0 in namespace client  mtu 1500",
         "client: an interface that is there already. While swlb runs it is up and has that mtu, and its own kernel "
         "hears nothing there; it must not have an address. Afterwards it is as it was."),
        ("tun", "  port  client  tun swc0 in namespace client  mtu 1500",
         "client: IP packets without Ethernet: what is routed to the segment leaves by it, and nobody is asked for a "
         "MAC."),
    ],
)  # fmt: skip
def test_other_kinds_of_ports_are_explained(kind: str, line: str, sentence: str) -> None:
    text = explained(BASE.replace("tap: swc0", f"{kind}: swc0"))
    assert line in text.splitlines()
    assert sentence in " ".join(text.split())


def test_an_ipv6_server_stands_in_brackets() -> None:
    service = '{vip: "fd00:1::100", port: any, servers: {a: {address: "fd00:1::11", port: 80}}}'
    assert "[fd00:1::11]:80" in explained(BASE + f"  six: {service}\n")


def test_no_line_is_longer_than_100_columns() -> None:
    name = "n" * 63
    text = BASE.replace("web1", name).replace("netns: client", f"netns: {'x' * 80}")
    assert max(map(len, explained(text).splitlines())) <= 100


def check_explained(keys: str) -> str:
    """What is said of the check of service web, in one line."""
    text = " ".join(explained(BASE.replace("type: tcp", keys)).split())
    return text[text.index("check tcp") : text.index("when a server goes down")]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("retries: 1, rise: 1", "Down after the first failure: a server that falls silent is out within 3s. While down "
                                "every 10s; up again after the first success."),
        ("type: agent, port: 9", "Down once the agent says so. While down every 10s; up again once it says so."),
        ("type: agent, port: 9, retries: 2, rise: 2", "Down after 2 failures in a row, or 5s after the first failed "
                                                      "probe began, whichever comes first. While down"),
    ],
)  # fmt: skip
def test_what_takes_a_server_out_and_in_again_is_explained(keys: str, words: str) -> None:
    assert words in " ".join(explained(BASE.replace("type: tcp", keys)).split())


def test_what_checks_of_a_service_have_alike_is_said_once() -> None:
    several = BASE.replace("{type: tcp}", "{all: [{type: tcp}, {type: icmp}]}")
    assert explained(several).count("At the start") == 1
    several = BASE.replace("{type: tcp}", "{all: [{type: tcp}, {type: icmp, initial: up}]}")
    assert explained(several).count("At the start") == 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "its established sessions are reset, closing ones rescheduled."),
        ("on_down: keep", "all of its sessions are still sent to it."),
        ("on_down: reschedule", "all of its sessions are rescheduled."),
    ],
)
def test_what_becomes_of_sessions_is_explained(keys: str, words: str) -> None:
    text = " ".join(explained(BASE.replace("port: 80\n", f"port: 80\n    {keys}\n")).split())
    assert f"when a server goes down, {words}" in text
    assert text.count("when a server goes down") == 1  # the service without servers has none that could


def test_what_hurries_and_steadies_a_check_is_explained() -> None:
    text = check_explained("fast_interval: 500ms, jitter: 10%, hold_down: 30s")
    assert "check tcp every 2s, while failing or coming back every 500ms, answered within 1s." in text
    assert "a server that falls silent is out within 30s." in text
    assert "Each wait is up to 10% longer or shorter, at random." in text
    assert "Changes are at least 30s apart: one that falls due sooner is held until then." in text


def test_a_plain_check_is_explained_without_what_it_does_not_have() -> None:
    text = check_explained("interval: 2s")
    for words in ("coming back", "random", "apart", "fail_open"):
        assert words not in text


def test_fail_open_is_explained() -> None:
    text = " ".join(explained(BASE.replace("port: 80\n", "port: 80\n    fail_open: 50%\n")).split())
    assert "fail_open: while fewer than 50% of those servers are up that are not drained and weigh something" in text


@pytest.mark.parametrize(
    ("check", "question"),
    [
        ("type: http", "GET http://ADDRESS:PORT/, status 200-399."),
        (
            "type: http, path: /healthz, port: 81, status: 200, content: ok",
            "GET http://ADDRESS:81/healthz, status 200, body contains 'ok'.",
        ),
        (
            "type: http, method: POST, host: a.example, headers: {Authorization: secret, X: y}, content_not: /e|f/",
            "POST http://ADDRESS:PORT/, Host a.example, with Authorization and X, status 200-399, body does not "
            "contain /e|f/.",
        ),
        (
            "type: https, host: 'a.example:444', status: [200, 204]",
            "GET https://ADDRESS:PORT/, Host a.example:444, status 200 or 204, certificate for a.example by an "
            "authority that this host trusts, a warning 14d before its end.",
        ),
        ("type: tls", "a TLS handshake, certificate for ADDRESS by an authority that this host trusts"),
        ("type: tls, verify: false, expiry_warning: 0", "a TLS handshake, any certificate."),
    ],
)
def test_a_check_says_what_it_asks(check: str, question: str) -> None:
    text = " ".join(explained(BASE.replace("type: tcp", check)).split())
    assert f"A probe is {question}" in text
    assert "secret" not in text


@pytest.mark.parametrize(("scheduler", "words"), [
    ("scheduler: maglev", "the hash of both addresses, both ports and the protocol names the server, by a table"),
    ("scheduler: hash", "scheduler hash: the hash of the client's address names the server, modulo the sum of weights"),
    ("scheduler: hash", "goes on when its client speaks (with access private: either end), unless its source is"),
    ("scheduler: hash\n    source_nat: never", "when its client speaks (with access private: either end)."),
    ("scheduler: python:tests.schedulers.First", "your own fills a table of servers, and they take turns as it says"),
    ("scheduler: python:tests.schedulers.First\n    hash_key: source_port",
     "a class of your own fills a table of servers, and the hash of the client's address and port names a place of it"),
])
def test_a_scheduler_that_hashes_or_is_somebodys_own_is_explained(scheduler: str, words: str) -> None:
    text = BASE.replace("    port: 80\n", f"    port: 80\n    {scheduler}\n", 1)
    assert text != BASE
    assert words in " ".join(explained(text).split())


def test_on_a_private_segment_either_end_may_go_on_with_a_connection() -> None:
    text = BASE.replace("    port: 80\n", "    port: 80\n    scheduler: maglev\n", 1)
    text = text.replace("addresses: [10.0.2.1/24]", "addresses: [10.0.2.1/24], access: private")
    assert "as after a restart, goes on when either end speaks, unless" in " ".join(explained(text).split())


@pytest.mark.parametrize("scheduler", ["rr", "maglev\n    source_nat: always", "hash\n    protocol: udp"])
def test_nothing_is_promised_to_connections_that_cannot_go_on(scheduler: str) -> None:
    text = BASE.replace("    port: 80\n", f"    port: 80\n    scheduler: {scheduler}\n", 1)
    assert "under way" not in explained(text)
