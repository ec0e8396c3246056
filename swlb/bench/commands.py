"""Commands run to their end: what they printed, or a BenchError that says what went wrong.

Processes that stay (servers, balancers) belong to topology.py, which also ends them.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence

from swlb.errors import SwlbError

COMMAND_TIMEOUT_S = 20.0
ERROR_TEXT_LEN = 400


class BenchError(SwlbError):
    """Something the run depends on did not happen; the text says what, for a person."""


class Unavailable(BenchError):  # noqa: N818  (as NotRunning)
    """A peer that this machine cannot run; the text says what it lacks. The others are measured all the same."""


def run(argv: Sequence[str], *, netns: str | None = None, stdin: str | None = None,
        timeout_s: float = COMMAND_TIMEOUT_S, env: Mapping[str, str] | None = None) -> str:
    """The standard output of a command that ended with 0, run in `netns` if one is named, `env` added to our own."""
    command = within(netns, argv)
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{' '.join(argv)}: not done after {timeout_s:g} s") from error
    except OSError as error:
        raise BenchError(f"{argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-ERROR_TEXT_LEN:]
        raise BenchError(f"{' '.join(argv)}: exit code {done.returncode}: {said}")
    return done.stdout


def within(netns: str | None, argv: Sequence[str]) -> list[str]:
    """The same command, to be run in a network namespace."""
    return [*(("ip", "netns", "exec", netns) if netns else ()), *argv]
