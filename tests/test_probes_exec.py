"""swlb/probes/exec.py with real programs: what they are told, how they end, and that nothing of them is left."""

import asyncio
import os
import resource
import stat
import sys
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from swlb.probes import Outcome, Target
from tests.answering import no_descriptors_left
from tests.probing import ask, probed

WEB1 = Target(ip_address("10.0.2.11"), 8080, "web", "web1")
SH = "/bin/sh"


def ran(*command: str, target: Target = WEB1, response: float = 10.0) -> Outcome:
    """The outcome of the command; it has left no child of this process, running or dead."""
    before = children()
    outcome = probed(ask("exec", target, command=command, response=response))
    assert children() <= before
    return outcome


def shell(script: str, **options: object) -> Outcome:
    return ran(SH, "-c", script, **options)


def children() -> set[str]:
    """The children of this process, those that were not reaped included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found |= set((task / "children").read_text().split())
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process that is not dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(pid: int) -> bool:
    """Whether the process is gone soon: who was killed may take a moment."""
    until = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_running(pid)


# How it ends


def test_exit_code_0_is_procok():
    outcome = ran("/bin/true")
    assert (outcome.ok, outcome.status) == (True, "PROCOK")
    assert outcome.detail == f"/bin/true ended well after {outcome.duration_ms:.1f} ms; it said nothing"


@pytest.mark.parametrize("code", [1, 2, 255])
def test_another_exit_code_is_procerr_and_named(code):
    outcome = shell(f"echo no database; exit {code}")
    assert (outcome.ok, outcome.status) == (False, "PROCERR")
    took = f"{outcome.duration_ms:.1f} ms"
    assert outcome.detail == f"/bin/sh ended with exit code {code} after {took}; it said 'no database'"


@pytest.mark.parametrize(("number", "name"), [(11, "SIGSEGV"), (15, "SIGTERM"), (9, "SIGKILL"), (40, "signal 40")])
def test_a_signal_is_procerr_and_named(number, name):
    outcome = shell(f"kill -{number} $$")
    assert (outcome.ok, outcome.status) == (False, "PROCERR")
    assert f"/bin/sh was ended by {name} after " in outcome.detail


def test_a_program_that_does_not_end_is_proctout_and_killed(tmp_path):
    outcome = shell(f"echo $$ > {tmp_path}/pid; echo waiting; exec sleep 600", response=0.3)
    assert (outcome.ok, outcome.status) == (False, "PROCTOUT")
    assert 300 <= outcome.duration_ms < 3000
    assert outcome.detail == f"/bin/sh was killed after {outcome.duration_ms:.0f} ms; it said 'waiting'"
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_program_that_ignores_sigterm_is_killed_all_the_same():
    assert shell("trap '' TERM INT HUP; while :; do sleep 1; done", response=0.2).status == "PROCTOUT"


def test_a_program_that_stops_itself_is_killed():
    assert shell("kill -STOP $$", response=0.2).status == "PROCTOUT"


# What it leaves


def test_children_that_hold_the_output_do_not_hang_the_probe_and_are_killed(tmp_path):
    outcome = shell(f"sleep 600 & echo $! > {tmp_path}/pid; exit 0")
    assert (outcome.ok, outcome.status) == (True, "PROCOK")
    assert ends(int((tmp_path / "pid").read_text()))


def test_the_children_of_a_late_program_are_killed_with_it(tmp_path):
    outcome = shell(f"sleep 600 & echo $! > {tmp_path}/pid; wait", response=0.3)
    assert outcome.status == "PROCTOUT"
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_cancelled_probe_has_killed_and_reaped_its_program(tmp_path):
    async def cancelled() -> Outcome:
        script = f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; wait"
        probe = asyncio.ensure_future(ask("exec", WEB1, command=(SH, "-c", script), response=600.0))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert probe.cancelled()
        return Outcome(True, "", "", 0.0)

    before = children()
    probed(cancelled())
    assert children() <= before
    assert not is_running(int((tmp_path / "pid").read_text()))
    assert ends(int((tmp_path / "child").read_text()))


def test_many_at_once_do_not_disturb_each_other():
    async def run() -> list[Outcome]:
        commands = [(SH, "-c", f"sleep 0.0{number}; exit {number}") for number in range(10)]
        return await asyncio.gather(*(ask("exec", WEB1, command=command, response=10.0) for command in commands))

    before = children()
    outcomes = asyncio.run(run())
    assert [outcome.status for outcome in outcomes] == ["PROCOK"] + ["PROCERR"] * 9
    assert all(f"exit code {number} " in outcome.detail for number, outcome in enumerate(outcomes) if number)
    assert children() <= before


def test_a_program_that_hangs_keeps_nobody_else_waiting():
    async def run() -> tuple[Outcome, int]:
        probe = asyncio.ensure_future(ask("exec", WEB1, command=(SH, "-c", "sleep 600"), response=0.5))
        turns = 0
        while not probe.done():
            await asyncio.sleep(0.01)
            turns += 1
        return probe.result(), turns

    outcome, turns = asyncio.run(run())
    assert (outcome.status, turns > 10) == ("PROCTOUT", True)


# What it says


def test_output_and_errors_are_shown_as_far_as_200_bytes():
    outcome = shell("printf 'x%.0s' $(seq 100); printf 'y%.0s' $(seq 150) >&2; exit 3")
    assert outcome.detail.endswith(f"; it said '{'x' * 100}{'y' * 100}' and more")


def test_what_is_no_text_is_shown_escaped():
    outcome = shell(r"printf '\033[31mred\377'")
    assert outcome.detail.endswith(r"it said '\x1b[31mred\xff'")


def test_a_megabyte_of_output_does_not_stop_it():
    assert ran(sys.executable, "-c", "print('x' * 1_000_000)").status == "PROCOK"


def test_endless_output_takes_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = ran("/usr/bin/yes", response=0.5)
    assert outcome.status == "PROCTOUT"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB; yes writes gigabytes a second


def test_a_program_that_closes_its_output_keeps_nothing_busy():
    before = time.process_time()
    outcome = shell("exec >&- 2>&-; sleep 0.5")
    assert outcome.status == "PROCOK"
    assert time.process_time() - before < 0.4


# What it is told


def test_it_is_told_of_the_server_and_of_its_surroundings_only_path(tmp_path):
    assert ran("/bin/cp", "/proc/self/environ", f"{tmp_path}/told").status == "PROCOK"
    told = (tmp_path / "told").read_text().split("\0")[:-1]
    assert sorted(told) == [
        f"PATH={os.environ['PATH']}",
        "SWLB_ADDRESS=10.0.2.11",
        "SWLB_PORT=8080",
        "SWLB_SERVER=web1",
        "SWLB_SERVICE=web",
    ]


def test_without_an_l4_port_it_is_told_none():
    outcome = shell('echo "<$SWLB_PORT> $SWLB_ADDRESS"', target=Target(ip_address("fd00::1"), None, "web", "web1"))
    assert outcome.detail.endswith("it said '<> fd00::1'")


def test_arguments_are_not_a_shells():
    assert ran("/bin/echo", "$PATH;", "*", "a b").detail.endswith("it said '$PATH; * a b'")


def test_it_has_nothing_to_read_and_no_descriptors_of_ours():
    with Path("/dev/null").open() as ours:
        os.set_inheritable(ours.fileno(), True)
        outcome = shell("cat; ls -l /proc/$$/fd | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p' | tr '\\n' ' '; pwd")
    assert outcome.detail.endswith("it said '0 1 2 /'")


def test_it_leads_a_session_of_its_own():
    # pid, parent, group, session
    outcome = shell("set -- $(sed 's/.*) //' /proc/$$/stat); echo $(($3 == $$)) $(($4 == $$))")
    assert outcome.detail.endswith("it said '1 1'")


# What cannot be run


def test_a_program_that_is_not_there_is_sockerr():
    outcome = ran("/no/such/program")
    assert (outcome.ok, outcome.status) == (False, "SOCKERR")
    assert outcome.detail == "/no/such/program could not be run: No such file or directory"


def test_a_file_that_may_not_be_executed_is_sockerr(tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    assert ran(str(program)).detail == f"{program} could not be run: Permission denied"


def test_a_file_that_is_no_program_is_sockerr(tmp_path):
    program = tmp_path / "program"
    program.write_text("neither\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert ran(str(program)).detail == f"{program} could not be run: Exec format error"


@pytest.mark.parametrize("left", range(8))
def test_where_descriptors_run_out_it_is_sockerr_and_nothing_is_left(left):
    async def run() -> Outcome:
        with no_descriptors_left(but=left):
            return await ask("exec", WEB1, command=("/bin/true",), response=10.0)

    before = children()
    outcome = probed(run())
    assert (outcome.status, left < 3) in [("SOCKERR", True), ("SOCKERR", False), ("PROCOK", False)]
    assert children() <= before
