"""What can go wrong outside a frame, and the exit code each kind ends with.

A bad frame is not here: it is a verdict with a reason, counted and never raised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a configuration file, in words a newcomer can act on.

    `line` counts from 1; 0 says that the problem is the file itself. `path` is empty where the
    problem has no place among the keys.
    """

    file: str
    line: int
    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        place = f" {self.path}:" if self.path else ""
        return f"{where}:{place} found {self.found}; expected {self.expected}"


class SwlbError(Exception):
    """Something the operator can put right. The command line prints it and ends with `exit_code`."""

    exit_code = 1


class ConfigError(SwlbError):
    """A configuration that was refused, with everything that is wrong in it. Nothing was created."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class WrongWords(SwlbError):  # noqa: N818  (as NotRunning)
    """A command whose words mean nothing."""

    exit_code = 2


class NotRunning(SwlbError):  # noqa: N818  (the command line's word for it)
    """No swlb answers at the control socket."""

    exit_code = 3


class PortError(SwlbError):
    """A system call failed for a port."""

    def __init__(self, *, port: str, device: str, call: str, error: OSError, advice: str) -> None:
        super().__init__(port, device, call, error, advice)
        self.port = port
        self.device = device
        self.call = call
        self.errno = error.errno
        self.reason = error.strerror or str(error)
        self.advice = advice

    def __str__(self) -> str:
        return f"port {self.port} ({self.device}): {self.call}: {self.reason}; {self.advice}"


def look_up(what: str, name: str, known: Mapping[str, T]) -> T:
    """What has that name; SwlbError says which names there are."""
    if name not in known:
        raise SwlbError(f"no {what} {name!r}; there are: {', '.join(list(known)[:8]) or 'none'}")
    return known[name]
