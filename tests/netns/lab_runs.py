"""Labs run as a person runs them, and what is left of one."""

import os
import subprocess
import sys
from pathlib import Path

from swlb.lab import record as lab_record
from swlb.namespaces import namespaces

ROOT = Path(__file__).resolve().parent.parent.parent
SWLB = [sys.executable, "-m", "swlb"]
NAME = f"test-{os.getpid()}"  # a lab of one's own, whatever else is up on this machine
A_MINUTE = 60


def swlb(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SWLB, *words], cwd=ROOT, capture_output=True, text=True, timeout=A_MINUTE, check=False)


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
