"""The labs of netns-lab, run as a person runs them."""

import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from netns.lab_runs import A_MINUTE, NAME, NOTHING, ROOT, Told, left_of, told_by
from swlb.bypass import WAYS_OUT, WHAT_HAPPENS
from swlb.cli import cli
from swlb.errors import SwlbError
from swlb.lab.book import lab_names, load_lab
from swlb.lab.in_short import head_of_table, row_of
from swlb.lab.proof import one_request
from swlb.lab.requests import Surprise, request, url_of
from swlb.lab.voice import silent_voice
from swlb.lab.walk import walk_of_attempt

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tidied_lab")]


LONG = ("schedulers",)  # those that a file of their own asks the same of, so that they are run once


@pytest.fixture(params=[name for name in lab_names() if name not in LONG])
def told(request) -> Told:
    """What each lab printed; it is run once."""
    return told_by(request.param)


# Those that take the time to prove all of it.
AT_LENGTH = pytest.mark.parametrize("told", ["routed", "transparent"], indirect=True)


# Run to the end


def test_a_lab_leaves_nothing_behind(told):
    assert left_of(NAME) == NOTHING


def test_the_table_of_modes_in_the_readme_says_what_was_captured(told):
    table = (ROOT / "README.md").read_text().splitlines()
    assert row_of(told.lab, told.in_short) in table


def test_a_pipe_gets_neither_colours_nor_lines_beyond_90_columns(told):
    assert "\x1b" not in told.text
    assert max(map(len, told.lines)) <= 90


@AT_LENGTH
def test_every_server_has_an_equal_share(told):
    shares = [line.split() for line in told.lines if "█" in line]
    assert [(name, answered, total) for name, _, answered, _, total in shares] == [
        ("web1", "100", "100"),
        ("web2", "100", "100"),
        ("web3", "100", "100"),
    ]


@AT_LENGTH
def test_requests_succeed_while_a_server_is_out_and_it_gets_its_share_again(told):
    assert "60 of 60 requests while it is out answered: web1 30  web2 0  web3 30" in told.text
    assert "30 of 30 requests after that answered: web1 10  web2 10  web3 10" in told.text


@AT_LENGTH
def test_ipv6_is_balanced_as_well(told):
    assert "30 of 30 requests over IPv6 answered: web1 10  web2 10  web3 10" in told.text


ARM = ["into swlb", "out of swlb"]
WALKS = {
    "routed": ["at client", "at web1", "at web1", "at client"],
    "one-arm": ["at client", *ARM, "at web1", "at web1", *ARM, "at client"],
    "dsr": ["at client", *ARM, "at web1", "at web1", "at client"],
    "ipip": ["at client", *ARM, "at router", "at router", "at web1", "inside web1",
             "at web1", "at router", "at router", "at client"],
}  # fmt: skip


@pytest.mark.parametrize(("told", "walk"), WALKS.items(), indirect=["told"])
def test_a_request_is_shown_at_every_place_where_it_was(told, walk):
    place = re.compile(r"^  ((?:at|into|out of|inside) \w+) *(?:[0-9a-f:]{17}[* ].*)?$", re.MULTILINE)
    assert place.findall(told.text) == walk


@pytest.mark.parametrize("told", ["one-arm-broken", "hairpin"], indirect=True)
def test_a_broken_lab_shows_the_trap_in_the_words_of_the_event_and_then_the_way_out(told):
    said = " ".join(told.text.split())
    assert f": {WHAT_HAPPENS}. Ways out: {WAYS_OUT}." in said
    broken, _, cured = told.text.partition("source_nat: auto")
    assert "gets no answer" in broken
    assert "30 of 30" not in broken
    assert cured.count("30 of 30 requests to http://") == 2


@pytest.mark.parametrize("told", ["ipip", "gue"], indirect=True)
def test_a_tunnel_is_shown_from_swlb_by_the_router_to_the_server(told):
    outer = [line.split()[2:] for line in told.lines if line.startswith(f"  in {told.lab.upper()} ")]
    assert [ttl for _, _, ttl in outer] == ["64*", "64", "63*", "63"]
    assert {destination.strip("*").partition(":")[0] for _, destination, _ in outer} == {"10.0.6.11"}


def test_the_table_is_made_of_what_each_lab_captures(monkeypatch):
    monkeypatch.setattr("swlb.lab.book.lab_names", lambda: ["one-arm"])
    done = CliRunner().invoke(cli, ["lab", "table"])
    assert done.exit_code == 0
    *head, row = done.output.splitlines()
    assert "\n".join(head) == head_of_table()
    assert row in (ROOT / "README.md").read_text().splitlines()


# Surprises


def test_a_surprise_ends_with_what_was_seen_and_leaves_nothing(a_lab):
    page = load_lab("routed")
    expected = replace(page.run.__globals__["EXPECTED"], sees="client → server:8080, TTL 62")

    def run() -> None:
        with a_lab() as lab:
            page.build(lab)
            one_request(lab, silent_voice(), expected, "")

    with pytest.raises(Surprise, match=r"what the server sees: seen client → server:8080, TTL 63; expected .* TTL 62"):
        run()
    assert left_of(NAME) == NOTHING


def test_a_request_that_fails_is_a_surprise(a_lab):
    with a_lab() as lab:
        load_lab("routed").build(lab)
        for server in ("web1", "web2", "web3"):
            lab.order(f"web/{server}", "maint")
        with pytest.raises(Surprise, match="Connection refused' at request 1 of 3; expected an answer to every one"):
            request(lab, url_of(lab.config.services["web"]), 3)


def test_a_request_that_nobody_should_answer_and_somebody_does_is_a_surprise(a_lab):
    with a_lab() as lab:
        load_lab("one-arm").build(lab)
        with pytest.raises(Surprise, match="the request, that nobody may answer: seen web1; expected ! timed out"):
            walk_of_attempt(lab, patience_s=A_MINUTE)


def test_a_host_has_its_name_alone(a_lab):
    with a_lab() as lab:
        lab.host("client")
        for name in ("client", "swlb"):
            with pytest.raises(SwlbError, match=f"has a host {name} already"):
                lab.bridge(name)


def test_a_swlb_that_does_not_start_is_told_with_its_log(a_lab):
    with pytest.raises(SwlbError, match=r"swlb did not start:\n(.*\n)*.*port a \(lo\)"), a_lab() as lab:
        lab.switch("{ports: {a: {tap: lo}}, segments: {lan: {ports: [a]}}}")
    assert left_of(NAME) == NOTHING


def test_a_command_that_fails_is_told_with_its_words(a_lab):
    with a_lab() as lab:
        host = lab.host("client")
        with pytest.raises(SwlbError, match=r"client: ls /nowhere: exit code 2; .*No such file"):
            host.run("ls", "/nowhere")


def test_a_port_that_is_taken_is_told(a_lab):
    with a_lab() as lab:
        host = lab.host("web1")
        host.http(8080)
        with pytest.raises(SwlbError, match=r"(?s)web1: no HTTP server on port 8080: .*address already in use"):
            host.http(8080)
