"""A program, and how it ended.

It runs as swlb's own user, in `/`, with nothing to read, without a shell, and in a process group of its own: when the
program has ended, or had its time, the whole group is killed. asyncio's own subprocesses are not used because they
wait, in some versions of Python, until every child has closed the output it inherited.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from swlb.config import Check
from swlb.excerpt import excerpt
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, within

SHOWN = 200  # bytes of what the program said
PIECE = 65536  # bytes; what a pipe holds


async def exec(check: Check, target: Target, way: Way) -> Outcome:
    """PROCOK when the program ended with exit code 0 within `response` seconds, PROCERR when it ended otherwise."""
    watch = Stopwatch()
    program = check.command[0]
    try:
        run = _Run(check.command, _environment(target))
    except OSError as error:
        return Outcome(False, "SOCKERR", f"{program} could not be run: {error.strerror}", watch.ms)
    try:
        await within(check.response, run.ended.wait())
    except TimeoutError:
        took_ms = watch.ms
        return Outcome(False, "PROCTOUT", f"{program} was killed after {took_ms:.0f} ms; {run.words}", took_ms)
    finally:
        await run.end()
    took_ms = watch.ms
    status = "PROCERR" if run.exit_code else "PROCOK"
    detail = f"{program} {_ended(run.exit_code)} after {took_ms:.1f} ms; {run.words}"
    return Outcome(not run.exit_code, status, detail, took_ms)


class _Run:
    """One run of a program. The event loop reaps it when it ends, even if nobody waits any more.

    `exit_code` is minus the signal's number where one ended it.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.ended = asyncio.Event()
        self.exit_code = 0
        self._said = b""
        with ExitStack() as undo:
            self._output, inherited = os.pipe()
            undo.callback(os.close, self._output)
            with ExitStack() as given:
                given.callback(os.close, inherited)
                self._process = _started(command, environment, inherited)
            undo.callback(self._process.wait)
            undo.callback(self._kill)
            self._pidfd = os.pidfd_open(self._process.pid)
            undo.pop_all()
        os.set_blocking(self._output, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._output, self._read)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def words(self) -> str:
        """What the program said, as the end of a sentence."""
        return f"it said {excerpt(self._said.strip(), SHOWN)}"

    async def end(self) -> None:
        """The program and its group are gone."""
        if not self.ended.is_set():
            self._kill()
            await self.ended.wait()

    def _read(self) -> None:
        """What it said is kept as far as it is shown, and the rest dropped: a full pipe would stop the program."""
        with suppress(BlockingIOError):
            piece = os.read(self._output, PIECE)
            if not piece:
                self._loop.remove_reader(self._output)
            self._said = (self._said + piece)[: SHOWN + 1]

    def _reap(self) -> None:
        self._kill()  # the group, before its number may be another's
        self._read()
        for descriptor in (self._pidfd, self._output):
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self.exit_code = self._process.wait()
        self.ended.set()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _started(command: Sequence[str], environment: dict[str, str], output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def _ended(exit_code: int) -> str:
    if exit_code == 0:
        return "ended well"
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"was ended by signal {-exit_code}"


def _environment(target: Target) -> dict[str, str]:
    """What the program is told: of its own surroundings only PATH."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "SWLB_SERVICE": target.service,
        "SWLB_SERVER": target.server,
        "SWLB_ADDRESS": str(target.address),
        "SWLB_PORT": "" if target.l4_port is None else str(target.l4_port),
    }
