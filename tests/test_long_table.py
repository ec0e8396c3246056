"""Lists of any length at the command line: rows come as they are told, and either end may go at any time."""

import json
import os
import pty
import subprocess
import sys

import pytest
from test_api import Endless, Recorder, served, wait_until

from swlb import cli
from swlb.long_table import FIRST_ROWS, of_how_many, print_rows

SWLB = [sys.executable, "-m", "swlb"]


def session(n: int, **more: object) -> dict:
    row = {"protocol": "tcp", "client": f"10.0.0.1:{n}", "vip": "10.0.1.100:80", "server": "10.0.2.1:80"}
    row |= {"service": "web", "state": "ESTABLISHED", "idle_s": 0.25, "expires_s": 60.0}
    return row | {"packets_in": n, "packets_out": 1} | more


class Sessions(Recorder):
    """Some sessions, of 1,000 that there are; what is asked with them is kept."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.rows = [session(n) for n in range(1, n + 1)]

    def show(self, noun, asked):
        self.asked.append((noun, dict(asked)))
        return [self.rows]


class EndlessSessions(Endless):
    def show(self, noun, asked):
        return ([session(row["n"]) for row in rows] for rows in self.sessions())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "swlb.sock"


def run(monkeypatch, *words: object) -> int | str | None:
    """The exit code of `swlb WORDS`."""
    monkeypatch.setattr("sys.argv", ["swlb", *map(str, words)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


def lines_of(capsys, *batches: list[dict]) -> list[str]:
    assert print_rows("sessions", iter(batches)) == sum(map(len, batches))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("n", [0, 1, 3000])
def test_json_is_one_list_however_long(monkeypatch, capfdbinary, path, n):
    with served(Sessions(n), path):
        assert run(monkeypatch, "show", "sessions", "--json", "--control", path) == 0
    assert json.loads(capfdbinary.readouterr().out) == [session(n) for n in range(1, n + 1)]


def test_what_is_asked_for_reaches_swlb(monkeypatch, path):
    words = {"client": "fd00::/64", "service": "web", "server": "web/web1", "state": "CLOSED", "protocol": "tcp"}
    words["limit"] = "5"
    app = Sessions(1)
    with served(app, path):
        options = [part for name, word in words.items() for part in (f"--{name}", word)]
        assert run(monkeypatch, "show", "sessions", *options, "--control", path) == 0
    assert app.asked == [("sessions", words)]


def test_all_rows_are_in_the_table_and_nothing_else_in_a_pipe(monkeypatch, capfd, path):
    with served(Sessions(1500), path):
        assert run(monkeypatch, "show", "sessions", "--control", path) == 0
    streams = capfd.readouterr()
    heading, *lines = streams.out.splitlines()
    assert heading.split() == ["protocol", "client", "vip", "server", "service", "state", "idle_s", "expires_s",
                               "packets_in", "packets_out"]  # fmt: skip
    assert [int(line.split()[8]) for line in lines] == list(range(1, 1501))
    assert streams.err == ""


def test_nothing_found_is_a_sentence(monkeypatch, capsys, path):
    with served(Sessions(0), path):
        run(monkeypatch, "show", "sessions", "--control", path)
    assert capsys.readouterr().out == "no such session, of 1,000\n"


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_nobody_at_the_socket_is_not_running(monkeypatch, capsys, path, words):
    assert run(monkeypatch, "show", "sessions", *words, "--control", path) == 3
    assert "swlb run FILE" in capsys.readouterr().err


def test_on_a_terminal_a_line_below_says_of_how_many(path):
    master, slave = pty.openpty()
    with served(Sessions(2), path):
        done = subprocess.run([*SWLB, "show", "sessions", "--control", path], stdout=slave, check=True, timeout=60)
    os.close(slave)
    said = os.read(master, 65536).decode().splitlines()
    os.close(master)
    assert done.returncode == 0
    assert said[-1] == "2 of 1,000 sessions"
    assert len(said) == 4


@pytest.mark.parametrize(
    ("n", "total", "text"),
    [(1204, 1000000, "1,204 of 1,000,000 sessions"), (1, 1, "1 session"), (1, 2, "1 of 2 sessions"),
     (7, 5, "7 sessions"), (0, 1, "0 of 1 session"), (3, None, "3 sessions")],
)  # fmt: skip
def test_how_many_is_told_in_words(n, total, text):
    assert of_how_many("sessions", n, total) == text


def test_a_short_list_is_no_wider_than_it_must_be(capsys):
    heading, line = lines_of(capsys, [session(7)])
    assert heading.startswith("protocol  client      vip            server       service  state        idle_s  expires")
    assert line.startswith("tcp       10.0.0.1:7  10.0.1.100:80  10.0.2.1:80  web      ESTABLISHED     0.2       60")
    assert heading.endswith("  packets_in  packets_out")
    assert line.endswith("           7            1")


def test_columns_of_a_long_list_do_not_shift_for_what_most_rows_have(capsys):
    wide = session(65535, client="255.255.255.255:65535", server="255.255.255.254:65535", packets_out=10**10)
    lines = lines_of(capsys, [session(1)] * FIRST_ROWS, [wide], [session(1)])
    assert len({line.index("10.0.1.100") for line in lines[1:]}) == 1
    assert len(set(map(len, lines))) == 1


def test_a_column_grows_for_a_cell_that_does_not_fit_and_stays_so(capsys):
    wide = session(1, client="[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
    lines = lines_of(capsys, [session(1)] * FIRST_ROWS, [wide], [session(1)])
    assert lines[-2].index("10.0.1.100") == lines[-1].index("10.0.1.100") > lines[-3].index("10.0.1.100")
    assert wide["client"] in lines[-2]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_ends_both_ends(path, words):
    app = EndlessSessions()
    with served(app, path):
        swlb = subprocess.Popen([*SWLB, "show", "sessions", *words, "--control", path], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)  # fmt: skip
        assert all(swlb.stdout.readline() for _ in range(5))
        swlb.stdout.close()
        assert swlb.stderr.read() == b""
        assert swlb.wait(60) == 1
        wait_until(lambda: app.is_over)
        swlb.stderr.close()


def test_ctrl_c_ends_both_ends_without_a_word(path):
    app = EndlessSessions()
    with served(app, path):
        swlb = subprocess.Popen([*SWLB, "show", "sessions", "--control", path], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)  # fmt: skip
        assert swlb.stdout.readline()
        swlb.send_signal(2)
        said = swlb.communicate(timeout=60)[1]
        assert (swlb.returncode, said.strip()) == (1, b"")
        wait_until(lambda: app.is_over)


def test_rows_are_printed_before_the_list_is_over(path):
    app = Recorder()  # which tells its third session when something else was asked
    app.rows = None
    with served(app, path):
        swlb = subprocess.Popen([*SWLB, "show", "sessions", "--json", "--control", path], stdout=subprocess.PIPE)
        assert [swlb.stdout.readline() for _ in range(3)] == [b"[\n", b'{"n": 1}\n', b',{"n": 2}\n']
        app.asked.append("something else")
        assert swlb.stdout.read() == b',{"n": 3}\n]\n'
        assert swlb.wait(60) == 0
        swlb.stdout.close()
