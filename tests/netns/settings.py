"""The servers' settings, exactly as `swlb doctor FILE --json` prints them, run on each server."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from netns.running import Host, cli, inside


@contextmanager
def settled(file: Path, servers: Sequence[Host], *, unpacks: str = "") -> Iterator[None]:
    """Within the block every server has what it needs."""
    said = cli("doctor", str(file), "--json")
    assert said.returncode == 0, said.stderr
    for patient in json.loads(said.stdout):
        (host,) = (host for host in servers if patient["address"] in (host.ipv4, host.ipv6))
        for step in patient["steps"]:
            run(host, step["commands"])
    yield


def run(host: Host, commands: Sequence[str]) -> None:
    """The commands have run inside, every one of them well."""
    argv = [*inside(host.netns), "bash", "-eu"]
    done = subprocess.run(argv, input="\n".join(commands), text=True, check=False, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
