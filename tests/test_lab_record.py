"""What a lab writes down before it makes it, and that nothing but that is removed. None of it needs root."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swlb.errors import SwlbError
from swlb.lab import record as lab_record
from swlb.lab.host import GATE
from swlb.lab.record import Process, Record, end, read_record, record_path, recorded_labs


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch) -> Path:
    """Where records are kept in these tests."""
    path = tmp_path / "swlb-lab"
    monkeypatch.setattr(lab_record, "DIRECTORY", path)
    return path


@pytest.fixture
def sleeper():
    """A process that leads a session of its own, as those of a lab do."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def ignores_sigterm() -> subprocess.Popen:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    with child.stdout:
        child.stdout.readline()
    return child


def new_record(lab: str = "x") -> Record:
    record = Record(lab, None)
    record.create()
    return record


# The record


def test_a_record_is_read_as_it_was_written(sleeper):
    record = Record("x", Process.of(os.getpid(), "pytest"))
    record.create()
    record.will_have_namespace("swlb-x-client", 42)
    record.will_have_process(Process.of(sleeper.pid, "sleep 60"))
    assert read_record("x") == record


def test_a_lab_s_name_is_taken_by_its_record():
    new_record()
    with pytest.raises(SwlbError, match=r"there is a lab x already .* swlb lab down x"):
        new_record()


def test_a_lab_without_a_record_is_not_up():
    with pytest.raises(SwlbError, match="no lab x is up"):
        read_record("x")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lab": "x", "owner": {"pid": 1}}'])
def test_a_file_that_is_no_record_is_not_acted_upon(directory, text):
    directory.mkdir()
    record_path("x").write_text(text)
    with pytest.raises(SwlbError, match="is no record of a lab"):
        read_record("x")


def test_a_file_that_is_there_already_is_not_made_the_lab_s(tmp_path):
    (tmp_path / "mine").write_text("mine")
    record = new_record()
    with pytest.raises(SwlbError, match="not this lab's"):
        record.will_have_file(tmp_path / "mine")
    record.remove_all()
    assert (tmp_path / "mine").read_text() == "mine"


def test_files_are_written_down_before_they_are_made(tmp_path):
    new_record().will_have_file(tmp_path / "log")
    assert read_record("x").files == [str(tmp_path / "log")]


def test_after_removing_all_neither_files_nor_record_nor_directory_are_left(directory, tmp_path):
    record = new_record()
    record.will_have_file(tmp_path / "log")
    (tmp_path / "log").write_text("")
    record.remove_all()
    assert not (tmp_path / "log").exists()
    assert not directory.exists()


def test_another_lab_s_record_stays():
    new_record("other")
    new_record("x").remove_all()
    assert recorded_labs() == ["other"]


def test_a_draft_of_the_record_that_a_crash_left_is_removed(directory):
    record = new_record()
    (directory / "x.json.new").write_text("{")
    record.remove_all()
    assert not directory.exists()


# Processes


def test_a_recorded_process_is_ended(sleeper):
    end([Process.of(sleeper.pid, "sleep")])
    assert sleeper.wait(5) == -signal.SIGTERM


def test_a_process_that_has_got_the_number_later_is_not_touched(sleeper):
    there = Process.of(sleeper.pid, "sleep")
    end([Process(there.pid, there.started - 1, "sleep")])
    time.sleep(0.05)
    assert sleeper.poll() is None


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(lab_record, "PATIENCE_S", 0.05)
    child = ignores_sigterm()
    end([Process.of(child.pid, "stubborn")])
    assert child.wait(5) == -signal.SIGKILL


def test_a_process_s_children_end_with_it():
    program = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    parent = subprocess.Popen(command, start_new_session=True, **pipes)
    with parent.stdin, parent.stdout:
        child = Process.of(int(parent.stdout.readline()), "sleep")
        end([Process.of(parent.pid, "parent")])
    parent.wait(5)
    deadline = time.monotonic() + 5
    while child.is_there():
        assert time.monotonic() < deadline, "the child of an ended process runs on"


def test_one_that_has_gone_is_not_there(sleeper):
    process = Process.of(sleeper.pid, "sleep")
    assert process.is_there()
    sleeper.kill()
    sleeper.wait()
    assert not process.is_there()


def test_a_zombie_is_not_there(sleeper):
    process = Process.of(sleeper.pid, "sleep")
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_there()


@pytest.mark.parametrize(("word", "output"), [(b"\n", b"begun\n"), (b"", b"")])
def test_a_process_begins_with_the_word_of_the_lab_and_never_without(word, output):
    read_fd, write_fd = os.pipe()
    command = [sys.executable, "-I", "-S", "-c", GATE, str(read_fd), "echo", "begun"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(read_fd,))
    os.close(read_fd)
    os.write(write_fd, word)
    os.close(write_fd)
    assert child.communicate(timeout=10)[0] == output


# For people


def test_the_record_is_json_for_people(sleeper):
    new_record().will_have_process(Process.of(sleeper.pid, "sleep 60"))
    (process,) = json.loads(record_path("x").read_text())["processes"]
    assert (process["pid"], process["command"]) == (sleeper.pid, "sleep 60")


def test_a_file_that_never_became_a_namespace_goes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(lab_record, "NETNS_DIR", tmp_path)
    record = new_record()
    record.will_have_namespace("swlb-x-client", 42)
    (tmp_path / "swlb-x-client").touch()
    assert record.remove_all() == []
    assert not (tmp_path / "swlb-x-client").exists()
