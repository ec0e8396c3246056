"""The command line's words and exit codes, as far as they need no running swlb."""

import json

import pytest

from swlb import cli
from swlb.errors import ConfigError, NotRunning, Problem, SwlbError, WrongWords
from swlb.figures import NOUNS


def run(monkeypatch, *words: str) -> int | str | None:
    """The exit code of `swlb WORDS`."""
    monkeypatch.setattr("sys.argv", ["swlb", *words])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


def test_every_noun_has_a_line_in_the_help(monkeypatch, capsys):
    run(monkeypatch, "show", "-h")
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert set(NOUNS) <= set(said)


@pytest.mark.parametrize("words", [[], ["set"], ["lab"]])
def test_the_list_of_commands_is_cut_nowhere(monkeypatch, capsys, words):
    monkeypatch.setenv("COLUMNS", "80")
    run(monkeypatch, *words, "-h")
    _, commands = capsys.readouterr().out.split("Commands:\n")
    assert "..." not in commands


def test_every_noun_that_is_offered_can_be_shown():
    assert set(cli.NOUNS) == set(NOUNS)


@pytest.mark.parametrize("words", [["dance"], ["check"], ["show", "weather"], ["why"], ["set", "service", "a", "b"],
                                   ["show", "fdb", "--service", "web"], ["show", "decisions", "--state", "CLOSED"],
                                   ["show", "persistence", "--protocol", "tcp"],
                                   ["flush", "fdb", "--service", "web"],
                                   ["flush", "sessions", "--segment", "lan"],
                                   ["flush", "persistence", "--segment", "lan"],
                                   ["decap"], ["decap", "--vip", "web"], ["decap", "--vip", "224.0.0.1"],
                                   ["decap", "--vip", "10.0.0.1", "--no-ipip", "--no-gue"], ["plan"]])  # fmt: skip
def test_wrong_words_exit_2_with_a_usage_line(monkeypatch, capsys, words):
    assert run(monkeypatch, *words) == 2
    assert "Usage: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(SwlbError("a reason"), 1), (WrongWords("a reason"), 2), (NotRunning("a reason"), 3),
     (ConfigError(Problem("lab.yaml", 3, "mode", "a reason", "routed")), 2)],
)  # fmt: skip
def test_an_error_is_a_sentence_on_stderr_and_its_exit_code(monkeypatch, capsys, error, code):
    def fail(*_words):
        raise error

    monkeypatch.setattr("swlb.client.ask", fail)
    assert run(monkeypatch, "show", "ports") == code
    streams = capsys.readouterr()
    assert (streams.out, streams.err) == ("", f"{error}\n")


def test_show_prints_json_as_one_list(monkeypatch, capsys):
    monkeypatch.setattr("swlb.client.ask", lambda *words: [{"port": "client", "words": words[1:]}])
    assert run(monkeypatch, "show", "ports", "--json") == 0
    assert '"/show/ports"' in capsys.readouterr().out


def test_why_prints_the_sentence_or_all_of_it(monkeypatch, capsys):
    monkeypatch.setattr("swlb.client.ask", lambda *words: {"sentence": "because.", "words": words[1:]})
    assert run(monkeypatch, "why", "web/web 1") == 0
    assert capsys.readouterr().out == "because.\n"
    assert run(monkeypatch, "why", "web/web 1", "--json") == 0
    assert '"/why/web/web%201"' in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["show", "-h"], ["bench", "--help"], ["decap", "--help"], ["--version"]])
def test_help_exits_0(monkeypatch, capsys, words):
    assert run(monkeypatch, *words) in (0, None)
    assert "swlb" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "file"), [(["lab.yaml"], "{here}/lab.yaml"), (["/etc/a.yaml"], "/etc/a.yaml"), ([], None)]
)
def test_reload_names_the_file_as_it_is_called_from_everywhere(monkeypatch, capsys, tmp_path, words, file):
    asked = []

    def ask(control, method, target, body):
        asked.append((method, target, body))
        return {"done": "1 server added"}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("swlb.client.ask", ask)
    assert run(monkeypatch, "reload", *words) == 0
    assert asked == [("POST", "/reload", {"file": file and file.format(here=tmp_path)})]
    assert capsys.readouterr().out == "reloaded: 1 server added\n"


STEP = {"action": "remove", "kind": "server", "name": "web/web1", "details": [], "sessions": 2, "effect": "2 go on",
        "moved": None, "moved_of_others": None}  # fmt: skip


def test_plan_asks_for_the_file_as_it_is_called_from_everywhere(monkeypatch, capsys, tmp_path):
    asked = []

    def ask(control, method, target, body):
        asked.append((method, target, body))
        return {"steps": [STEP], "sentence": "1 server removed"}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("swlb.client.ask", ask)
    assert run(monkeypatch, "plan", "new.yaml") == 0
    assert asked == [("POST", "/plan", {"file": f"{tmp_path}/new.yaml"})]
    row, sentence, advice = (line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert row.split(maxsplit=3) == ["-", "server", "web/web1", "2 go on"]
    assert (sentence, advice) == ("1 server removed", "Nothing has changed yet: swlb reload new.yaml")
    assert run(monkeypatch, "plan", "new.yaml", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [STEP]


def test_every_field_of_a_plan_has_a_line_in_the_help(monkeypatch, capsys):
    run(monkeypatch, "plan", "-h")
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert set(STEP) <= set(said)


@pytest.mark.parametrize("words", [["plan", "new.yaml"], ["reload"]])
def test_without_a_running_swlb_the_exit_code_is_3(monkeypatch, capsys, tmp_path, words):
    assert run(monkeypatch, *words, "--control", str(tmp_path / "none.sock")) == 3
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "none.sock" in streams.err
