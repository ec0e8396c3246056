"""Servers of every kind that fall ill and recover by order, at a host: what ails them is true when `set` returns.

| sickness | what is then true |
|---|---|
| healthy | it answers as it should, at once |
| refusing | nobody listens: connections and datagrams are refused |
| silent | what is sent to it vanishes, SYNs as well |
| half-dead | it accepts connections and never says a word |
| closing | it accepts connections and closes them |
| slow | it answers as it should, but later than anybody waits |
| late | its HTTP answer is as it should be and comes in time, 150 ms after the request |
| wrong-status | it says that it is not well |
| wrong-content | what it says is not what was asked for |
| garbage | what it says is no protocol |
| expired | its certificate has expired |
| drips, huge, redirects | its HTTP answer: a byte a second; 1 GiB; go and ask me |

Most are one process inside (ailing.py). The host itself answers `icmp`, and swlb runs the program of `exec`.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from netns.running import STOP_S, Host, inside

PROGRAM = Path(__file__).with_name("ailing.py")
# Kernels tell a sender about once a second that a port is closed; whoever probes several such ports would hear of few.
UNLIMITED_ERRORS = ("net/ipv4/icmp_ratelimit=0", "net/ipv6/icmp/ratelimit=0")
ECHO_KNOBS = ("net/ipv4/icmp_echo_ignore_all", "net/ipv6/icmp/echo_ignore_all")
EXEC_SCRIPTS = {"healthy": "exit 0", "wrong-status": "echo worn out; exit 3", "half-dead": "exec sleep 60"}


@dataclass(frozen=True)
class Server:
    """A server that may fall ill. `certificates` are PEM files: `good`, and `expired`."""

    name: str
    kind: str
    addresses: Sequence[str]
    port: int
    certificates: Mapping[str, str] = field(default_factory=dict)


class Ward:
    """The servers of one host, by name; swlb runs the `scripts` of those of kind exec."""

    def __init__(self, host: Host, servers: Sequence[Server], directory: Path, process: subprocess.Popen[str]) -> None:
        self._host = host
        self._servers = {server.name: server for server in servers}
        self._directory = directory
        self._process = process

    @property
    def pid(self) -> int:
        """Of the process that most of them are in."""
        return self._process.pid

    def set(self, sicknesses: Mapping[str, str]) -> float:
        """Each of them has its sickness; the moment (Unix seconds) from which that is true."""
        of_process = {}
        for name, sickness in sicknesses.items():
            kind = self._servers[name].kind
            if kind == "icmp":
                self._answer_echoes(sickness == "healthy")
            elif kind == "exec":
                write_script(script_of(self._directory, name), sickness)
            else:
                of_process[name] = sickness
        self._ask(set=of_process)
        return time.time()

    def asked(self, name: str) -> list[float]:
        """When the server was asked, each time; as time.monotonic() counts."""
        return self._ask(asked=name)

    def serve(self) -> None:
        """All are healthy from now on."""
        self._set_knobs(*UNLIMITED_ERRORS)
        of_process = [server for server in self._servers.values() if server.kind not in ("icmp", "exec")]
        self._ask(serve=[asdict(server) for server in of_process])
        self.set({server.name: "healthy" for server in self._servers.values() if server.kind in ("icmp", "exec")})

    def _answer_echoes(self, answers: bool) -> None:
        self._set_knobs(*(f"{knob}={int(not answers)}" for knob in ECHO_KNOBS))

    def _set_knobs(self, *settings: str) -> None:
        done = self._host.run("sysctl", "-qw", *settings)
        assert done.returncode == 0, done.stderr

    def _ask(self, **order: object) -> list[float]:
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextmanager
def ward(host: Host, servers: Sequence[Server], directory: Path) -> Iterator[Ward]:
    """Within the block the servers serve, healthy at first; afterwards nobody is left."""
    argv = [*inside(host.netns), sys.executable, str(PROGRAM)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        made = Ward(host, servers, directory, process)
        made.serve()
        yield made
    finally:
        process.stdin.close()
        try:
            code = process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
    assert code == 0


def script_of(directory: Path, name: str) -> Path:
    """The file that `/bin/sh` runs as the check of the server of that name."""
    return directory / f"{name}.sh"


def write_script(path: Path, sickness: str) -> None:
    """The file has what that sickness does; a shell that has begun to read the old one goes on with it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(EXEC_SCRIPTS[sickness] + "\n")
    os.replace(fresh, path)
