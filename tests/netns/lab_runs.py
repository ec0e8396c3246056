"""Labs run as a person runs them, and what is left of one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swlb.lab import record as lab_record
from swlb.lab.in_short import COLUMNS
from swlb.namespaces import namespaces

ROOT = Path(__file__).resolve().parent.parent.parent
SWLB = [sys.executable, "-m", "swlb"]
NAME = f"test-{os.getpid()}"  # a lab of one's own, whatever else is up on this machine
A_MINUTE = 60
MINUTES = 600  # for a lab that takes half a minute where nothing else runs


def swlb(*words: str, patience_s: float = A_MINUTE) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SWLB, *words], cwd=ROOT, capture_output=True, text=True, timeout=patience_s, check=False)


@dataclass(frozen=True)
class Told:
    """What `swlb lab run` of a lab printed."""

    lab: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def in_short(self) -> dict[str, str]:
        """Names and values below the heading "In short"; a value goes on where a line has no name."""
        values: dict[str, str] = {}
        for line in self.text.partition("\nIn short\n")[2].partition("\n\n")[0].splitlines():
            name = next((name for name in COLUMNS.values() if line.startswith(f"  {name} ")), None)
            if name:
                last, values[name] = name, line.removeprefix(f"  {name}").strip()
            else:
                values[last] += f" {line.strip()}"
        return values


@cache
def told_by(lab: str) -> Told:
    """The lab is run once, whoever asks."""
    done = swlb("lab", "run", lab, "--as", NAME, patience_s=MINUTES)
    assert (done.returncode, done.stderr) == (0, "")
    return Told(lab, done.stdout)


def begin(*words: str) -> subprocess.Popen[str]:
    """swlb with these words, open to the signals that stop it: tests begun in the background have it ignore some."""
    pipe = subprocess.PIPE
    # env resets them before Python looks at what it was given.
    command = ["env", "--default-signal=INT,HUP,TERM", *SWLB, *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


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
