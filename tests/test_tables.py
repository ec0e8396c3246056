"""Tables for people: what a line looks like, whatever there is to tell."""

import io
import re

import pytest

from swlb.tables import print_table

LONG = "a text that makes its column much wider than the others' need"
FDB = {"segment": "lan", "mac": "02:00:00:00:00:01", "vlan": 0, "port": "web1", "age_s": 1.0}


def printed(capsys: pytest.CaptureFixture[str], noun: str, rows: list[dict]) -> list[str]:
    """The lines of the table."""
    print_table(noun, rows)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("colours", [False, True])
def test_no_line_ends_with_space(monkeypatch, capsys, colours):
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("TERM", "xterm")
    rows = [{"time": 0.0, "kind": "admin", "text": text} for text in (LONG, "short", "")]
    lines = printed(capsys, "events", rows)
    assert len(lines) == 4
    assert ("\x1b[" in lines[0]) is colours
    assert not [line for line in lines if line.replace("\x1b[0m", "").endswith(" ")]


def test_yes_and_no_are_words(capsys):
    heading, own, other = printed(capsys, "fdb", [FDB | {"static": True}, FDB | {"static": False}])
    assert heading.split()[-1] == "static"
    assert (own.split()[-1], other.split()[-1]) == ("yes", "no")


@pytest.mark.parametrize("ages", [(None, 12.5), (12.5, None)])
def test_numbers_are_on_the_right_though_some_are_not_known(capsys, ages):
    client = {"service": "web", "client": "10.0.1.0/24", "server": "web/web1", "sessions": 1, "age_s": 1.0}
    lines = printed(capsys, "persistence", [client | {"expires_s": age} for age in ages])
    assert len({len(line) for line in lines}) == 1


def test_that_none_is_such_is_not_said_as_if_there_were_none(capsys):
    print_table("decisions", [], chosen=True)
    print_table("decisions", [])
    assert capsys.readouterr().out.splitlines() == ["there are no such decisions", "no session has begun yet"]


SERVICE = {
    "service": "web", "vip": "10.0.1.100", "port": 80, "protocol": "tcp", "scheduler": "rr", "fail_open": False,
    "sessions_active": 1, "sessions_inactive": 2, "sessions_total": 3, "refused": 0, "stateless": 0,
    "packets_in": 4, "packets_out": 5, "bytes_in": 6, "bytes_out": 7,
}  # fmt: skip


@pytest.mark.parametrize(("columns", "n_headings"), [(80, 1), (135, 2), (200, 1)])
def test_on_a_terminal_that_is_narrow_headings_take_two_lines_where_that_is_enough(monkeypatch, columns, n_headings):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    print_table("services", [SERVICE])
    *headings, line = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert len(headings) == n_headings
    if n_headings == 2:
        assert headings[0].split()[:3] == ["fail_", "sessions_", "sessions_"]
        assert headings[1].split()[:7] == ["service", "vip", "port", "protocol", "scheduler", "open", "active"]
        assert len(line) <= 135
    assert line.split()[-1] == "7"


def test_syns_without_a_session_have_a_column_once_there_was_a_flood(capsys):
    assert "stateless" not in printed(capsys, "services", [SERVICE | {"stateless": 0}])[0]
    heading, line = printed(capsys, "services", [SERVICE | {"stateless": 12345}])
    assert dict(zip(heading.split(), line.split(), strict=True))["stateless"] == "12345"


def test_in_a_pipe_a_heading_is_one_line_however_long(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    heading, _ = printed(capsys, "services", [SERVICE])
    assert heading.split() == [column for column in SERVICE if column != "stateless"]


class Terminal(io.StringIO):
    """What is written there is seen by somebody."""

    def isatty(self) -> bool:
        return True
