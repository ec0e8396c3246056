"""What a lab makes, written down before it is made, and removed by that record: /run/swlb-lab/NAME.json.

A lab that is killed has no last word, so `swlb lab down` reads the record instead. Nothing is removed because of
its name alone: a namespace must have the inode that was written down, a process its start time. What somebody
else has put in the place of either is left as it is.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from swlb.errors import SwlbError
from swlb.namespaces import NETNS_DIR

DIRECTORY = Path("/run/swlb-lab")
PATIENCE_S = 5.0  # from SIGTERM to SIGKILL


@dataclass(frozen=True)
class Process:
    """A process, told from a later one of the same number by when it started (ticks since boot)."""

    pid: int
    started: int
    command: str

    @classmethod
    def of(cls, pid: int, command: str) -> "Process":
        """The process that has the number now. Raises FileNotFoundError when there is none."""
        return cls(pid, start_ticks(pid), command)

    def open(self) -> int | None:
        """A pidfd, the caller's to close; None when the process has gone, whoever has its number now."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        with suppress(FileNotFoundError, ProcessLookupError):
            if start_ticks(self.pid) == self.started:
                return pidfd
        os.close(pidfd)
        return None

    def is_there(self) -> bool:
        """Whether it still runs; one that has ended and was not waited for does not."""
        pidfd = self.open()
        if pidfd is None:
            return False
        try:
            return not _ended(pidfd, 0)
        finally:
            os.close(pidfd)


@dataclass
class Record:
    """What the lab has made and not yet removed. `owner` is the process that will remove it; None after `lab up`.

    `namespaces` maps a name to its inode. The processes lead sessions of their own.
    """

    lab: str
    owner: Process | None
    namespaces: dict[str, int] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def create(self) -> None:
        """The record's file is there, and with it the name is taken. Raises SwlbError where it was taken already."""
        DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        try:
            with record_path(self.lab).open("x") as file:
                file.write(self._text())
        except FileExistsError:
            how = f"end it with: swlb lab down {self.lab}"
            raise SwlbError(f"there is a lab {self.lab} already ({record_path(self.lab)}); {how}") from None

    def save(self) -> None:
        """The file says what this says; whenever it is read, it is whole."""
        path = _draft_path(self.lab)
        path.write_text(self._text())
        path.rename(record_path(self.lab))

    def will_have_namespace(self, name: str, inode: int) -> None:
        """Written down; it may be made now."""
        self.namespaces[name] = inode
        self.save()

    def will_have_file(self, path: Path) -> None:
        """Written down; it may be made now. Raises SwlbError where there is one that is not the lab's."""
        if path.exists():
            raise SwlbError(f"{path} is there already and not this lab's; move it away")
        self.files.append(str(path))
        self.save()

    def will_have_process(self, process: Process) -> None:
        """Written down; it may begin now."""
        self.processes.append(process)
        self.save()

    def end_process(self, process: Process) -> None:
        """It has ended, and its children in the same session with it."""
        end([process])
        self.processes.remove(process)
        self.save()

    def remove_all(self) -> list[str]:
        """Nothing of the lab is left, the record included; sentences about what was left to others.

        May be called again after it failed half-way.
        """
        end(self.processes)
        left = [sentence for name, inode in self.namespaces.items() if (sentence := _remove_namespace(name, inode))]
        for path in (*map(Path, self.files), _draft_path(self.lab), record_path(self.lab)):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # another lab's record is in it
            DIRECTORY.rmdir()
        return left

    def _text(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def read_record(lab: str) -> Record:
    """The record of a lab that is up or was killed. Raises SwlbError when there is none."""
    path = record_path(lab)
    try:
        data = json.loads(path.read_text())
        processes = [Process(**process) for process in data["processes"]]
        owner = Process(**data["owner"]) if data["owner"] else None
        return Record(data["lab"], owner, data["namespaces"], processes, data["files"])
    except FileNotFoundError:
        raise SwlbError(f"no lab {lab} is up: there is no {path}") from None
    except (ValueError, KeyError, TypeError):
        raise SwlbError(f"{path} is no record of a lab: look into it, and remove it by hand") from None


def record_path(lab: str) -> Path:
    """Where it is written what the lab has made."""
    return DIRECTORY / f"{lab}.json"


def recorded_labs() -> list[str]:
    """The labs that are up or were killed."""
    return sorted(path.stem for path in DIRECTORY.glob("*.json"))


def start_ticks(pid: int) -> int:
    """When the process started, in ticks since boot. Raises FileNotFoundError when there is none."""
    # The command's name, in brackets, may hold anything, blanks and brackets too; start time is the 20th after it.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def end(processes: Iterable[Process]) -> None:
    """None of them runs any more: asked with SIGTERM, made to with SIGKILL. Those of others are not touched."""
    running = [(process, pidfd) for process in processes if (pidfd := process.open()) is not None]
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process, pidfd in running:
                if not _ended(pidfd, 0):
                    # Its number cannot be another's while it runs, and it leads the group of that number.
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, number)
            deadline = time.monotonic() + PATIENCE_S
            if all(_ended(pidfd, deadline - time.monotonic()) for _, pidfd in running):
                return
        raise SwlbError("a process does not end, not even by SIGKILL: " + ", ".join(p.command for p, _ in running))
    finally:
        for _, pidfd in running:
            os.close(pidfd)


def _ended(pidfd: int, patience_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, patience_s) * 1000))


def _draft_path(lab: str) -> Path:
    return DIRECTORY / f"{lab}.json.new"


def _remove_namespace(name: str, inode: int) -> str | None:
    """The namespace is gone if it is the one of that inode; else a sentence about the one that is left alone."""
    path = Path(NETNS_DIR, name)
    try:
        if not os.path.ismount(path):
            # `ip netns attach` makes the file first; a lab that is killed just then leaves it with nothing behind it.
            path.unlink()
            return None
        if path.stat().st_ino != inode:
            return f"namespace {name} is another one than the lab's: left alone"
    except FileNotFoundError:
        return None
    done = subprocess.run(["ip", "netns", "delete", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SwlbError(f"namespace {name} cannot be removed: {done.stderr.strip()}")
    return None
