"""The labs of netns-lab, run as a person runs them; and that a lab which dies is tidied up, and nothing else is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swlb.errors import SwlbError
from swlb.lab import Lab
from swlb.lab import record as lab_record
from swlb.lab.book import lab_names, load_lab
from swlb.lab.places import one_request
from swlb.lab.record import Process, Record, read_record, record_path
from swlb.lab.requests import Surprise, request
from swlb.lab.voice import Voice
from swlb.namespaces import namespaces

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parent.parent.parent
SWLB = [sys.executable, "-m", "swlb"]
NAME = f"test-{os.getpid()}"  # a lab of one's own, whatever else is up on this machine
A_MINUTE = 60


def swlb(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SWLB, *words], cwd=ROOT, capture_output=True, text=True, timeout=A_MINUTE, check=False)


def begin(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*SWLB, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left_of(name: str) -> dict[str, list[str]]:
    """The namespaces, files and processes of a lab that are there now."""
    lab_files = lab_record.DIRECTORY.glob(f"{name}.*")
    processes = subprocess.run(["pgrep", "-af", f"/swlb-lab/{name}[.]"], capture_output=True, text=True, check=False)
    return {
        "namespaces": [netns for netns in namespaces() if netns.startswith(f"swlb-{name}-")],
        "files": sorted(map(str, lab_files)),
        "processes": processes.stdout.splitlines(),
    }


NOTHING: dict[str, list[str]] = {"namespaces": [], "files": [], "processes": []}


@pytest.fixture(autouse=True)
def tidied() -> Iterator[None]:
    """Also after a test that failed."""
    yield
    if record_path(NAME).exists():
        swlb("lab", "down", NAME)


@pytest.fixture(scope="module", params=lab_names())
def told(request) -> subprocess.CompletedProcess[str]:
    """What `swlb lab run` of each lab printed."""
    done = swlb("lab", "run", request.param, "--as", NAME)
    assert (done.returncode, done.stderr) == (0, "")
    return done


@pytest.fixture
def a_lab() -> Callable[[], Lab]:
    return lambda: Lab(NAME)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + A_MINUTE / 2
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


# Run to the end


def test_a_lab_leaves_nothing_behind(told):
    assert left_of(NAME) == NOTHING


def test_every_server_has_an_equal_share(told):
    shares = [line.split() for line in told.stdout.splitlines() if "█" in line]
    assert [(name, answered, total) for name, _, answered, _, total in shares] == [
        ("web1", "100", "100"),
        ("web2", "100", "100"),
        ("web3", "100", "100"),
    ]


def test_a_request_is_shown_at_four_places(told):
    places = [line.split()[0:2] for line in told.stdout.splitlines() if line.startswith("  at ")]
    assert [host for _, host in places] == ["client", "web1", "web1", "client"]


def test_requests_succeed_while_a_server_is_out_and_it_gets_its_share_again(told):
    assert "60 of 60 requests while it is out answered: web1 30  web2 0  web3 30" in told.stdout
    assert "30 of 30 requests after that answered: web1 10  web2 10  web3 10" in told.stdout


def test_ipv6_is_balanced_as_well(told):
    assert "30 of 30 requests over IPv6 answered: web1 10  web2 10  web3 10" in told.stdout


def test_a_pipe_gets_neither_colours_nor_lines_beyond_80_columns(told):
    assert "\x1b" not in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80


# Surprises


def test_a_surprise_ends_with_what_was_seen_and_leaves_nothing(a_lab):
    def run() -> None:
        with a_lab() as lab:
            load_lab("routed").build(lab)
            one_request(lab, Voice(), ttl_step=2, because="")

    with pytest.raises(Surprise, match="TTL of the request at the server: seen 63; expected 62"):
        run()
    assert left_of(NAME) == NOTHING


def test_a_request_that_fails_is_a_surprise(a_lab):
    with a_lab() as lab:
        load_lab("routed").build(lab)
        for server in ("web1", "web2", "web3"):
            lab.order(f"web/{server}", "maint")
        with pytest.raises(Surprise, match="Connection refused' at request 1 of 3; expected an answer to every one"):
            request(lab, lab.config.services["web"], 3)


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


# What is the machine's


def test_the_root_namespace_is_as_it_was(a_lab):
    def seen() -> list[str]:
        commands = (["ip", "-o", "link"], ["ip", "-o", "address"], ["ip", "route"], ["ip", "-6", "route"])
        texts = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for command in commands]
        # What IPv6 gives away with the time is no change of ours.
        return [text.partition("valid_lft")[0] for text in texts]

    before = seen()
    with a_lab() as lab:
        load_lab("transparent").build(lab)
        assert seen() == before
    assert seen() == before


def test_a_foreign_namespace_is_an_error_and_stays(a_lab):
    foreign = f"swlb-{NAME}-client"
    subprocess.run(["ip", "netns", "add", foreign], check=True)
    try:
        with pytest.raises(SwlbError, match=r"there is a namespace .*, and it is not this lab's"), a_lab() as lab:
            lab.host("client")
        assert foreign in namespaces()
    finally:
        subprocess.run(["ip", "netns", "delete", foreign], check=True)


def test_a_foreign_namespace_that_took_the_place_of_the_lab_s_stays(a_lab):
    netns = f"swlb-{NAME}-client"
    with a_lab() as lab:
        lab.host("client")
        lab.leave()
    subprocess.run(["ip", "netns", "delete", netns], check=True)
    subprocess.run(["ip", "netns", "add", netns], check=True)
    try:
        # The kernel is free to give the number of the one before to it.
        record = read_record(NAME)
        record.namespaces[netns] += os.stat(f"/run/netns/{netns}").st_ino == record.namespaces[netns]
        record.save()
        done = swlb("lab", "down", NAME)
        assert (done.returncode, done.stderr) == (0, f"namespace {netns} is another one than the lab's: left alone\n")
        assert netns in namespaces()
    finally:
        subprocess.run(["ip", "netns", "delete", netns], check=True)


def test_a_stranger_s_process_in_a_host_outlives_the_lab(a_lab):
    with a_lab() as lab:
        host = lab.host("client")
        # As `ip netns exec swlb-LAB-client bash` in another terminal.
        stranger = subprocess.Popen(["ip", "netns", "exec", host.netns, "sleep", "60"])
        wait_until(lambda: Path(f"/proc/{stranger.pid}/comm").read_text() == "sleep\n", "it sleeps in the host")
    try:
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


# Up and down


def test_a_lab_that_is_up_serves_until_it_is_down():
    assert swlb("lab", "up", "routed", "--as", NAME).returncode == 0
    ask = ["ip", "netns", "exec", f"swlb-{NAME}-client", "curl", "-s", "http://10.0.1.100/"]
    assert subprocess.run(ask, check=True, capture_output=True, text=True).stdout in ("web1\n", "web2\n", "web3\n")
    rows = json.loads(swlb("show", "servers", "--json", "--control", f"/run/swlb-lab/{NAME}.sock").stdout)
    assert [row["operational"] for row in rows] == ["up"] * 6
    done = swlb("lab", "down", NAME)
    assert (done.returncode, done.stdout) == (0, f"lab {NAME} is down; nothing of it is left\n")
    assert left_of(NAME) == NOTHING


def test_a_lab_that_is_not_up_cannot_be_taken_down():
    done = swlb("lab", "down", NAME)
    assert (done.returncode, done.stderr) == (1, f"no lab {NAME} is up: there is no /run/swlb-lab/{NAME}.json\n")


def test_a_lab_is_there_once_only(a_lab):
    with a_lab():
        done = swlb("lab", "up", "routed", "--as", NAME)
    assert done.returncode == 1
    assert f"swlb lab down {NAME}" in done.stderr


# Ends that nobody has planned


def made(count: int) -> Callable[[], bool]:
    """Whether so many namespaces of the lab are there."""
    return lambda: len(left_of(NAME)["namespaces"]) >= count


def serving() -> bool:
    return any(f"{NAME}.sock" in file for file in left_of(NAME)["files"])


@pytest.mark.parametrize("moment", [made(1), made(3), serving], ids=["first host", "third host", "swlb runs"])
def test_a_killed_lab_is_removed_by_down(moment):
    lab = begin("lab", "run", "routed", "--as", NAME)
    wait_until(moment, "the lab has come that far")
    lab.kill()
    lab.communicate()
    processes = read_record(NAME).processes
    assert left_of(NAME) != NOTHING
    done = swlb("lab", "down", NAME)
    assert (done.returncode, done.stderr) == (0, "")
    assert left_of(NAME) == NOTHING
    assert [process for process in processes if process.is_there()] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", [made(2), serving], ids=["second host", "swlb runs"])
def test_a_lab_that_is_told_to_stop_leaves_nothing(moment, number):
    lab = begin("lab", "run", "routed", "--as", NAME)
    wait_until(moment, "the lab has come that far")
    lab.send_signal(number)
    _, errors = lab.communicate(timeout=A_MINUTE)
    assert (lab.returncode, errors) == (1, "stopped; nothing of the lab is left\n")
    assert left_of(NAME) == NOTHING


def test_down_does_not_end_a_process_that_has_the_number_of_the_lab_s():
    with subprocess.Popen(["sleep", "60"]) as stranger:
        there = Process.of(stranger.pid, "sleep")
        Record(NAME, None, processes=[Process(there.pid, there.started - 1, "swlb")]).create()
        assert swlb("lab", "down", NAME).returncode == 0
        assert there.is_there()
        stranger.kill()
