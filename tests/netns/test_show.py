"""`swlb show`: the fields of each noun are the contract's, with its units; people get a table."""

import json
import re
import time

import pytest

from netns.running import wait_until
from netns.sites import Routed
from netns.traffic import connect, echoed, get, ping

pytestmark = pytest.mark.root

STR, INT, BOOL, NONE = str, int, bool, type(None)
NUMBER = (int, float)
COUNTERS = {"sessions_active": INT, "sessions_inactive": INT, "sessions_total": INT, "packets_in": INT,
            "packets_out": INT, "bytes_in": INT, "bytes_out": INT}  # fmt: skip

# The contract, architecture section 9: names and the types of their values; more fields may be there.
FIELDS = {
    "services": {"service": STR, "vip": (str, list), "port": (int, str), "protocol": STR, "forward": STR,
                 "source_nat": STR, "scheduler": STR, **COUNTERS},
    "servers": {"service": STR, "server": STR, "address": STR, "port": (int, NONE), "weight": INT,
                "effective_weight": INT, "admin": STR, "operational": STR, "reason": STR, "since_s": NUMBER,
                "check_status": (str, NONE), "check_duration_ms": (*NUMBER, NONE), **COUNTERS},
    "sessions": {"protocol": STR, "client": STR, "vip": STR, "server": STR, "service": STR, "state": STR,
                 "age_s": NUMBER, "idle_s": NUMBER, "expires_s": NUMBER, "forward": STR, "source_nat": (str, NONE),
                 "packets_in": INT, "packets_out": INT, "bytes_in": INT, "bytes_out": INT},
    "decisions": {"time": NUMBER, "protocol": STR, "client": STR, "vip": (str, NONE), "service": (str, NONE),
                  "server": (str, NONE), "scheduler": STR, "because": STR, "backup": BOOL, "mid_stream": BOOL,
                  "candidates": INT, "active": INT, "inactive": INT, "weight": INT, "text": STR},
    "fdb": {"segment": STR, "mac": STR, "vlan": (int, NONE), "port": STR, "age_s": NUMBER, "static": BOOL},
    "neighbours": {"segment": STR, "address": STR, "mac": (str, NONE), "state": STR, "age_s": NUMBER},
    "ports": {"port": STR, "kind": STR, "device": STR, "state": STR, "io": STR, "mtu": INT, "rx_frames": INT,
              "rx_bytes": INT, "rx_dropped": INT, "tx_frames": INT, "tx_bytes": INT, "tx_dropped": INT,
              "made": INT},
    "drops": {"reason": STR, "frames": INT},
    "events": {"time": NUMBER, "kind": STR, "service": (str, NONE), "server": (str, NONE), "text": STR},
    "health": {"service": STR, "server": STR},
    "timeouts": {"name": STR, "seconds": NUMBER},
}  # fmt: skip

KINDS = {"server_up", "server_down", "admin", "weight", "service_up", "service_down", "config_loaded", "config_refused",
         "port_up", "port_down", "mac_moved", "address_conflict", "vip_conflict", "reply_bypasses", "table_full",
         "neighbour_lost", "passive"}  # fmt: skip
TCP_STATES = {"SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED"}
MAC = re.compile("([0-9a-f]{2}:){5}[0-9a-f]{2}")
ENDPOINT_V4 = re.compile(r"(\d+\.){3}\d+:\d+")
ENDPOINT_V6 = re.compile(r"\[[0-9a-f:]+\]:\d+")

NOUNS = pytest.mark.parametrize("noun", FIELDS)


@pytest.fixture(scope="module")
def busy(routed):
    """The routed site after some traffic of every kind, so that no table is empty."""
    for family in (4, 6):
        get(routed.client, Routed.vips[family])
        echoed(routed.client, Routed.vips[family], 7)
        ping(routed["web1"], routed.client.address(family))
    with pytest.raises(ConnectionRefusedError):
        connect(routed.client, Routed.vips[4], 4444)
    wait_until(lambda: routed.swlb.drops()["no_service"], "a drop counted")
    return routed


@NOUNS
def test_json_has_the_contract_s_fields(busy, noun):
    done = busy.swlb.cli("show", noun, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert rows
    for row in rows:
        assert set(row) >= set(FIELDS[noun])


@NOUNS
def test_values_are_of_the_contract_s_types(busy, noun):
    for row in busy.swlb.show(noun):
        # A bool is an int in Python and not in JSON.
        wrong = {
            name: row[name]
            for name, kinds in FIELDS[noun].items()
            if not isinstance(row[name], kinds) or (isinstance(row[name], bool) and kinds is not BOOL)
        }
        assert wrong == {}


@NOUNS
def test_people_get_a_table_with_a_heading_and_a_line_a_row(busy, noun, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")  # whatever a shell exports: a pipe gets whole rows
    done = busy.swlb.cli("show", noun)
    assert (done.returncode, done.stderr) == (0, "")
    heading, *lines = done.stdout.splitlines()
    assert heading.split()[0] in FIELDS[noun]
    assert lines
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout


def test_an_unknown_noun_exits_2(busy):
    done = busy.swlb.cli("show", "weather")
    assert (done.returncode, done.stdout) == (2, "")
    assert "services" in done.stderr


@pytest.mark.parametrize(("family", "form"), [(4, ENDPOINT_V4), (6, ENDPOINT_V6)])
def test_endpoints_of_a_session_are_address_and_port(busy, family, form):
    with connect(busy.client, Routed.vips[family], 80) as sock:
        host, port = sock.getsockname()[:2]
        client = f"{host}:{port}" if family == 4 else f"[{host}]:{port}"
        row = busy.swlb.row("sessions", client=client)
    assert all(form.fullmatch(row[name]) for name in ("client", "vip", "server"))
    assert row["vip"] == (f"{Routed.vips[4]}:80" if family == 4 else f"[{Routed.vips[6]}]:80")
    assert row["source_nat"] is None


def test_a_session_s_states_are_the_contract_s(busy):
    states = {row["protocol"]: set() for row in busy.swlb.show("sessions")}
    for row in busy.swlb.show("sessions"):
        states[row["protocol"]].add(row["state"])
    assert states["tcp"] <= TCP_STATES
    assert states["udp"] <= {"ONE_WAY", "TWO_WAY"}


def test_an_open_connection_is_established_and_expires_by_its_timeout(busy):
    with connect(busy.client, Routed.vips[4], 80) as sock:
        client = "{}:{}".format(*sock.getsockname())
        # connect() is back before the client's acknowledgement has reached swlb.
        established = "the session is established"
        wait_until(lambda: busy.swlb.row("sessions", client=client)["state"] == "ESTABLISHED", established)
        row = busy.swlb.row("sessions", client=client)
    assert row["idle_s"] + row["expires_s"] == pytest.approx(7440, abs=0.2)
    assert 0 <= row["idle_s"] <= row["age_s"] < 10


def test_macs_are_written_with_colons(busy):
    for noun in ("fdb", "neighbours"):
        assert all(MAC.fullmatch(row["mac"]) for row in busy.swlb.show(noun) if row["mac"] is not None)


def test_events_have_the_contract_s_kinds_in_order_of_time(busy):
    events = busy.swlb.show("events")
    assert {event["kind"] for event in events} <= KINDS
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert abs(time.time() - events[0]["time"]) < 300


def test_the_first_event_is_the_configuration_s(busy):
    assert busy.swlb.show("events")[0]["kind"] == "config_loaded"


def test_admin_and_operational_have_the_contract_s_words(busy):
    rows = busy.swlb.show("servers")
    assert {row["admin"] for row in rows} <= {"ready", "drain", "maint"}
    assert {row["operational"] for row in rows} <= {"up", "down", "checking"}


def test_since_counts_up(busy):
    first = busy.swlb.row("servers", service="web", server="web1")["since_s"]
    wait_until(lambda: busy.swlb.row("servers", service="web", server="web1")["since_s"] > first, "since_s grows")


def test_a_check_s_duration_is_the_last_probe_s(busy):
    rows = [row for row in busy.swlb.show("servers") if row["service"] == "web"]
    assert all(row["check_status"] == "L4OK" and 0 < row["check_duration_ms"] <= 300 for row in rows)


def test_the_timeouts_are_the_contract_s_names_and_defaults(busy):
    timeouts = {row["name"]: row["seconds"] for row in busy.swlb.show("timeouts")}
    assert timeouts == {"tcp_syn": 60, "tcp_established": 7440, "tcp_fin": 120, "tcp_closed": 10, "udp": 120,
                        "udp_stream": 300, "icmp": 60, "fragment": 30, "neighbour": 60}  # fmt: skip


def test_every_port_and_kernel_twin_is_a_row(busy):
    rows = {row["port"]: (row["kind"], row["state"]) for row in busy.swlb.show("ports")}
    assert {name: rows[name] for name in busy.hosts} == dict.fromkeys(busy.hosts, ("tap", "up"))
    assert sum(kind == "host" for kind, _ in rows.values()) == 2


def test_a_dropped_frame_counts_once(busy):
    before = sum(busy.swlb.drops().values())
    with pytest.raises(ConnectionRefusedError):
        connect(busy.client, Routed.vips[4], 4444)
    wait_until(lambda: busy.swlb.drops()["no_service"], "counted")
    assert sum(busy.swlb.drops().values()) - before <= 2  # this one, and at most one multicast that nobody takes


@pytest.mark.parametrize(("words", "table"), [(["fdb"], "fdb"), (["neighbours"], "neighbours"),
                                              (["sessions"], "sessions"),
                                              (["sessions", "--service", "web"], "sessions"),
                                              (["sessions", "--server", "web/web1"], "sessions")])  # fmt: skip
def test_flush_says_how_many_went(busy, words, table):
    done = busy.swlb.cli("flush", *words)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"\d+ {table} flushed\n", done.stdout)


def test_flushed_sessions_are_gone(busy):
    with connect(busy.client, Routed.vips[4], 80) as sock:
        client = "{}:{}".format(*sock.getsockname())
        assert busy.swlb.row("sessions", client=client)
        busy.swlb.cli("flush", "sessions", "--service", "web")
        assert client not in [row["client"] for row in busy.swlb.show("sessions")]


@pytest.mark.parametrize("words", [["sessions", "--service", "nosuch"], ["sessions", "--server", "web/nosuch"],
                                   ["fdb", "--segment", "nosuch"]])  # fmt: skip
def test_flush_of_what_is_not_there_exits_1(busy, words):
    done = busy.swlb.cli("flush", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nosuch" in done.stderr


@pytest.mark.parametrize("words", [["sessions", "--segment", "outside"], ["fdb", "--service", "web"], ["weather"], []])
def test_flush_with_wrong_words_exits_2(busy, words):
    assert busy.swlb.cli("flush", *words).returncode == 2
