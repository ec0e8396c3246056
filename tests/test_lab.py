"""The parts of a lab that need no root: HTTP, what is printed, the labs there are."""

import io
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

from swlb.cli import cli
from swlb.config import parse
from swlb.errors import SwlbError
from swlb.lab import Lab, take_down
from swlb.lab import book as lab_book
from swlb.lab import record as lab_record
from swlb.lab import voice as lab_voice
from swlb.lab.host import HTTP_PROGRAM
from swlb.lab.in_short import BEGIN, END, head_of_table
from swlb.lab.record import Process, Record, recorded_labs
from swlb.lab.requests import address_of, equal_shares, url_of, vip_of
from swlb.lab.voice import Voice

LABS = lab_book.lab_names()
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch) -> Path:
    """Where records are kept in these tests."""
    path = tmp_path / "swlb-lab"
    monkeypatch.setattr(lab_record, "DIRECTORY", path)
    return path


# The lab


@pytest.mark.parametrize("name", ["", "Routed", "../x", "a b", "-x", "x" * 33, "x/y", "x.y"])
def test_a_name_that_would_not_do_for_a_namespace_and_a_file_is_refused(name):
    with pytest.raises(SwlbError, match="expected up to 32 small letters"):
        Lab(name)
    with pytest.raises(SwlbError, match="no lab can be called"):
        take_down(name)


def test_without_root_nothing_is_made(monkeypatch, directory):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SwlbError, match="needs root"), Lab("x"):
        pass
    assert not directory.exists()


def test_without_iproute2_nothing_is_made(monkeypatch, directory):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SwlbError, match="install the package iproute2"), Lab("x"):
        pass
    assert not directory.exists()


def test_a_lab_whose_process_is_still_there_is_not_taken_from_it(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    Record("x", Process.of(os.getpid(), "pytest")).create()
    with pytest.raises(SwlbError, match=rf"is being run by process {os.getpid()} \(pytest\)"):
        take_down("x")
    assert recorded_labs() == ["x"]


def test_a_lab_whose_process_has_gone_is_taken_down(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    here = Process.of(os.getpid(), "pytest")
    Record("x", Process(here.pid, here.started - 1, "one that had the number before")).create()
    take_down("x")
    assert recorded_labs() == []


def test_waiting_in_vain_says_for_what():
    with pytest.raises(SwlbError, match=r"lab x: waited 0\.1 s in vain until pigs fly"):
        Lab("x").wait(lambda: False, "pigs fly", 0.1)


def test_waiting_returns_what_the_condition_returned():
    answers = iter([None, 0, "now"])
    assert Lab("x").wait(lambda: next(answers), "it is so") == "now"


# HTTP


@pytest.fixture
def server():
    """The address of a lab's HTTP server on loopback, called web1."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        l4_port = free.getsockname()[1]
    command = [sys.executable, "-I", HTTP_PROGRAM, "serve", "web1", str(l4_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "listening\n"
        yield l4_port
        child.terminate()


def get(url: str, count: int, *seconds: str) -> list[str]:
    command = [sys.executable, "-I", HTTP_PROGRAM, "get", url, str(count), *seconds]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()


def test_the_server_answers_every_request_with_its_name(server):
    assert get(f"http://127.0.0.1:{server}/", 3) == ["web1"] * 3


def test_a_request_that_nobody_answers_says_why(server):
    # Port 1, tcpmux, is nobody's.
    assert get("http://127.0.0.1:1/", 1) == ["! [Errno 111] Connection refused"]


def test_a_request_that_is_never_answered_is_given_up_in_time():
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        assert get(f"http://127.0.0.1:{deaf.getsockname()[1]}/", 1, "0.1") == ["! timed out"]


# What is printed


def voice() -> tuple[Voice, io.StringIO]:
    pipe = io.StringIO()
    return Voice(Console(file=pipe, width=80, highlight=False)), pipe


def test_brackets_are_printed_as_they_are():
    say, pipe = voice()
    say("to [fd00:1::100]:80 [bold]")
    assert pipe.getvalue() == "  to [fd00:1::100]:80 [bold]\n"


def test_a_long_line_stays_whole_in_a_pipe():
    say, pipe = voice()
    say("x " * 100)
    assert pipe.getvalue().count("\n") == 1


def test_a_long_count_shows_its_way_in_a_pipe():
    say, pipe = voice()
    with say.counting(300, "requests") as one_more:
        for _ in range(300):
            one_more()
    assert pipe.getvalue() == "  requests ... 100 200 300\n"


def test_a_short_count_leaves_no_line_in_a_pipe():
    say, pipe = voice()
    with say.counting(30, "requests") as one_more:
        one_more()
    assert pipe.getvalue() == ""


def test_waiting_adds_dots_in_a_pipe(monkeypatch):
    monkeypatch.setattr(lab_voice, "A_DOT_S", 0.001)
    say, pipe = voice()
    with say.waiting("waiting"):
        Lab("x").wait(lambda: pipe.getvalue().startswith("  waiting ......"), "three dots were added")


def test_waiting_ends_with_how_long_it_took():
    say, pipe = voice()
    with say.waiting("waiting"):
        pass
    assert pipe.getvalue() == "  waiting ... 0.0 s\n"


def test_styles_leave_no_trace_in_a_pipe():
    say, pipe = voice()
    say(Text.assemble(("10.0.2.11:8080*", "bold yellow")))
    assert pipe.getvalue() == "  10.0.2.11:8080*\n"


def test_a_paragraph_is_wrapped_and_indented_after_its_first_line():
    say, pipe = voice()
    say.paragraph("word " * 20)
    assert pipe.getvalue() == f"  {'word ' * 14}word\n    {'word ' * 4}word\n"


def test_values_stand_beside_their_names_and_long_ones_below_themselves():
    say, pipe = voice()
    say.values({"a": "word " * 16, "long": "1"})
    assert pipe.getvalue() == f"  a      {'word ' * 13}word\n         word word\n  long   1\n"


def test_a_silent_voice_prints_nothing(capsys):
    say = lab_voice.silent_voice()
    say("a line")
    with say.counting(300, "requests") as one_more, say.waiting("waiting"):
        one_more()
    assert capsys.readouterr() == ("", "")


# The labs there are


def test_there_is_a_lab_for_every_mode_and_trap():
    modes = ("transparent", "routed", "one-arm", "one-arm-gateway", "dsr", "ipip", "gue", "mixed")
    assert {*modes, "one-arm-broken", "hairpin"} <= set(LABS)


def test_labs_are_listed_in_the_order_of_reading_and_others_after_them(monkeypatch, tmp_path):
    for name in ("gue", "another", "routed"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.setattr(lab_book, "FOLDER", tmp_path)
    assert lab_book.lab_names() == ["routed", "gue", "another"]


@pytest.mark.parametrize("name", LABS)
def test_a_lab_s_summary_is_one_short_sentence(name):
    summary = lab_book.load_lab(name).summary
    assert summary.endswith(".")
    assert len(summary) <= 60


@pytest.mark.parametrize("name", LABS)
def test_a_lab_s_drawing_fits_80_columns(name):
    assert max(map(len, lab_book.load_lab(name).drawing.splitlines())) <= 79


@pytest.mark.parametrize("name", LABS)
def test_the_addresses_of_the_services_are_in_the_drawing(name):
    page = lab_book.load_lab(name)
    config = parse(page.run.__globals__["CONFIGURATION"], file=name)
    addresses = [vip_of(service) for service in config.services.values()]
    addresses += [str(server.address) for server in config.services["web"].servers.values()]
    assert [address for address in addresses if address not in page.drawing] == []


@pytest.mark.parametrize("name", LABS)
def test_a_lab_s_readme_shows_its_drawing(name):
    readme = (lab_book.FOLDER / "README.md").read_text()
    assert lab_book.load_lab(name).drawing.strip("\n") in readme


def test_the_readme_of_the_labs_tells_of_them_in_the_order_of_reading():
    readme = (lab_book.FOLDER / "README.md").read_text()
    assert re.findall(r"^## ([a-z-]+): ", readme, re.MULTILINE) == LABS


def test_the_table_of_modes_has_a_row_for_every_lab():
    table = (ROOT / "README.md").read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert table.startswith(f"{head_of_table()}\n")
    assert re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE) == LABS


def test_an_unknown_lab_is_refused_with_the_names_of_the_known():
    with pytest.raises(SwlbError, match=r"no lab 'nix' in .*; there are: transparent, routed, .*mixed"):
        lab_book.load_lab("nix")


def test_without_the_folder_it_is_said_where_the_labs_are(monkeypatch, tmp_path):
    monkeypatch.setattr(lab_book, "FOLDER", tmp_path / "netns-lab")
    with pytest.raises(SwlbError, match="the folder netns-lab of swlb's source tree"):
        lab_book.lab_names()


def test_the_list_says_what_is_up():
    Record("routed", None).create()
    Record("own", None).create()
    lines = CliRunner().invoke(cli, ["lab", "list"]).output.splitlines()
    assert [line.split()[0] for line in lines if "(up" in line] == ["routed", "own"]


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [("swlb.cli", ("asyncio", "swlb.lab", "dpkt", "rich")), ("swlb.app", ("swlb.lab", "dpkt", "rich"))],
)
def test_no_command_loads_what_only_others_need(module, unneeded):
    program = f"import sys, {module}; print([name for name in sys.modules if name in {unneeded}])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


# Shares and addresses

SERVICE = """
ports: {a: {tap: eth0}}
segments: {lan: {ports: [a], addresses: [10.0.0.1/24, "fd00::1/64"]}}
services:
  web: {vip: 10.0.0.100, port: 80, servers: {web1: {address: 10.0.0.11, port: 8080}, web2: {address: 10.0.0.12}}}
  web6: {vip: "fd00::100", port: 8000, servers: {web1: {address: "fd00::11"}}}
"""
SERVICES = parse(SERVICE, file="test").services


@pytest.mark.parametrize(("name", "url"), [("web", "http://10.0.0.100/"), ("web6", "http://[fd00::100]:8000/")])
def test_the_url_of_a_service_is_its_first_vip_s(name, url):
    assert url_of(SERVICES[name]) == url


@pytest.mark.parametrize(("name", "address"), [("web1", "10.0.0.11:8080"), ("web2", "10.0.0.12:80")])
def test_a_server_without_a_port_listens_on_the_service_s(name, address):
    assert address_of(SERVICES["web"], name) == address


def test_equal_shares_are_equal():
    assert equal_shares(["web1", "web2", "web3"], 300) == {"web1": 100, "web2": 100, "web3": 100}
