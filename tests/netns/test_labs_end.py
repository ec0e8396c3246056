"""A lab touches nothing of the machine, stays as long as it should, and one that dies is tidied up."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netns.lab_runs import A_MINUTE, NAME, NOTHING, begin, left_of, swlb
from netns.running import wait_until
from swlb.errors import SwlbError
from swlb.lab.book import load_lab
from swlb.lab.record import Process, Record, read_record
from swlb.namespaces import namespaces

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tidied_lab")]


# What is the machine's


@pytest.mark.parametrize("name", ["transparent", "one-arm-gateway"])
def test_the_root_namespace_is_as_it_was(a_lab, name):
    def seen() -> list[str]:
        commands = (["ip", "-o", "link"], ["ip", "-o", "address"], ["ip", "route"], ["ip", "-6", "route"])
        texts = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for command in commands]
        # What IPv6 gives away with the time is no change of ours.
        return [text.partition("valid_lft")[0] for text in texts]

    before = seen()
    with a_lab() as lab:
        load_lab(name).build(lab)
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


def unpacking() -> bool:
    """Whether a server has begun to."""
    return any(file.endswith(".web1.log") for file in left_of(NAME)["files"])


KILLED = [("routed", made(1)), ("routed", made(3)), ("routed", serving), ("one-arm", serving), ("ipip", unpacking)]


@pytest.mark.parametrize(("name", "moment"), KILLED, ids=["first host", "third host", "swlb runs", "one-arm", "ipip"])
def test_a_killed_lab_is_removed_by_down(name, moment):
    lab = begin("lab", "run", name, "--as", NAME)
    wait_until(moment, "the lab has come that far", within=A_MINUTE / 2)
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
    wait_until(moment, "the lab has come that far", within=A_MINUTE / 2)
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
