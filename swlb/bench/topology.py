"""What a run creates on the machine: network namespaces, links, files and processes.

Everything a Topology made is gone once its `with` block is left, whatever the reason, in the reverse order of making.
Names start with `swb<pid>-`, so that two runs do not meet and a run that was killed can be recognised and cleared by
the next one.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .commands import BenchError, run, within

PREFIX = "swb"
STOP_TIMEOUT_S = 5.0
POLL_S = 0.02
LOG_TAIL_LEN = 600
TCP_LISTEN = "0A"

# Every connection of a load test is short: without these a client, or a proxy that connects on, is out of source
# ports after two seconds. Neighbour discovery is switched off because its multicasts are frames nobody asked for.
SYSCTLS = (
    "net.ipv4.ip_local_port_range=1024 65535",
    "net.ipv4.tcp_tw_reuse=1",
    "net.core.somaxconn=4096",
    "net.ipv4.tcp_max_syn_backlog=4096",
    "net.ipv6.conf.all.disable_ipv6=1",
    "net.ipv6.conf.default.disable_ipv6=1",
)


@dataclass(frozen=True)
class End:
    """One end of a link: a device in a namespace with an address, "10.0.1.1/24"."""

    netns: str
    device: str
    address: str


class Process:
    """A process that stays, its output in a file."""

    def __init__(self, argv: Sequence[str], *, netns: str | None, log: Path,
                 env: Mapping[str, str] | None = None) -> None:
        self.name = log.stem
        self.log = log
        # A session of its own keeps the terminal's Ctrl-C for the harness, which then ends it in order; if the
        # harness itself is killed, the kernel sends the signal.
        command = ["setpriv", "--pdeathsig", "TERM", *within(netns, argv)]
        with log.open("wb") as output:
            self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                           start_new_session=True, env={**os.environ, **(env or {})})

    def pids(self) -> tuple[int, ...]:
        """The process and its children; a master that only waits counts as well."""
        pid = self._popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return (pid, *map(int, children))

    def threads(self) -> list[int]:
        """The thread ids of the process and its children."""
        return [int(task.name) for pid in self.pids() for task in Path(f"/proc/{pid}/task").iterdir()]

    def cpu_seconds(self) -> float:
        """User and system time since it began, of all threads, its children's included."""
        stats = (Path(f"/proc/{pid}/stat").read_text(encoding="utf-8") for pid in self.pids())
        return sum(map(cpu_ticks, stats)) / os.sysconf("SC_CLK_TCK")

    def first_thread_cpu_seconds(self) -> float:
        """The same of its first thread alone: in swlb, everything but the workers."""
        pid = self._popen.pid
        return cpu_ticks(Path(f"/proc/{pid}/task/{pid}/stat").read_text(encoding="utf-8")) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """The memory that the process and its children have touched and not given back."""
        texts = (Path(f"/proc/{pid}/status").read_text(encoding="utf-8") for pid in self.pids())
        return sum(int(found[1]) for found in (re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE) for text in texts)
                   if found) * 1024

    def ended_with(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._popen.poll()

    def says(self, line: str) -> bool:
        """Whether it has printed that line."""
        return line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def wait_until(self, happened: Callable[[], bool], what: str, *, timeout_s: float, poll_s: float = POLL_S) -> None:
        """`happened()` is true and the process still runs, or a BenchError with the end of its log."""
        deadline = time.monotonic() + timeout_s
        while not happened():
            self.check_running()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: not {what} within {timeout_s:g} s: {self._tail()}")
            time.sleep(poll_s)

    def wait_until_listening(self, port: int, *, timeout_s: float = 5.0) -> None:
        """Something in the process's namespace accepts TCP connections at `port`."""
        self.wait_until(lambda: self._listens(port), f"listening on port {port}", timeout_s=timeout_s)

    def check_running(self) -> None:
        """The process still runs, or a BenchError with the end of its log."""
        if self._popen.poll() is not None:
            raise BenchError(f"{self.name} ended with {self._popen.returncode}: {self._tail()}")

    def stop(self) -> None:
        """The process is gone: asked first, killed when that did not help."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _listens(self, port: int) -> bool:
        try:
            rows = Path(f"/proc/{self._popen.pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # it has just ended, which wait_until reports better
            return False
        sockets = (row.split() for row in rows)
        return any(local.endswith(f":{port:04X}") and state == TCP_LISTEN for _, local, _, state, *_ in sockets)

    def _tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace").strip()[-LOG_TAIL_LEN:] or "(it said nothing)"


class Topology:
    """The namespaces, links, files and processes of one run."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self.directory = Path()

    def __enter__(self) -> "Topology":
        remove_leftovers()
        self.directory = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._undo.close()

    @contextmanager
    def apart(self, name: str) -> Iterator["Topology"]:
        """A topology within this one, with files in a folder of its own, that is gone after the block."""
        part = Topology()
        part.directory = self.directory / name
        part.directory.mkdir(exist_ok=True)
        with part._undo:
            yield part

    def namespace(self, role: str) -> str:
        """The name of a new namespace with loopback up and the settings of a load test."""
        name = f"{PREFIX}{os.getpid()}-{role}"
        # Pushed before it is made: an interrupt between the two would otherwise leave it behind.
        self._undo.callback(_delete_namespace, name)
        run(["ip", "netns", "add", name])
        run(["ip", "-n", name, "link", "set", "lo", "up"])
        run(["sysctl", "-q", "-w", *SYSCTLS], netns=name)
        return name

    def link(self, left: End, right: End) -> None:
        """A veth pair joins the two ends, addressed and up."""
        run(["ip", "link", "add", left.device, "netns", left.netns,
             "type", "veth", "peer", "name", right.device, "netns", right.netns])
        for end in (left, right):
            address_device(end)

    def file(self, name: str, text: str) -> Path:
        """A file of the run with this content."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def move(self, device: str, *, netns: str, to: End) -> None:
        """A device of one namespace is in another now, under the name there, addressed and up."""
        run(["ip", "-n", netns, "link", "set", device, "netns", to.netns, "name", to.device])
        address_device(to)

    def undo(self, done: Callable[[], object]) -> None:
        """Called when the run ends, whatever the reason."""
        self._undo.callback(done)

    def spawn(self, argv: Sequence[str], *, netns: str | None, name: str,
              env: Mapping[str, str] | None = None) -> Process:
        """A process that runs until it is stopped or the run ends, in a namespace if one is named."""
        process = Process(argv, netns=netns, log=self.directory / f"{name}.log", env=env)
        self._undo.callback(process.stop)
        return process


def cpu_ticks(stat: str) -> int:
    """User and system time out of /proc/PID/stat, in clock ticks."""
    # The name, in brackets, may itself contain spaces and brackets. utime and stime are fields 14 and 15 (proc(5)).
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def address_device(end: End) -> None:
    """The device carries its address and is up."""
    run(["ip", "-n", end.netns, "address", "add", end.address, "dev", end.device])
    run(["ip", "-n", end.netns, "link", "set", end.device, "up"])


def remove_leftovers() -> None:
    """No namespace or folder is left of a run whose process is gone. Runs that are under way are not touched."""
    for line in run(["ip", "netns", "list"]).splitlines():
        if _is_leftover(name := line.split()[0]):
            _delete_namespace(name)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        if _is_leftover(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _is_leftover(name: str) -> bool:
    made_by = re.fullmatch(rf"{PREFIX}(\d+)-\S+", name)
    return made_by is not None and not Path(f"/proc/{made_by[1]}").exists()


def _delete_namespace(name: str) -> None:
    """The namespace is gone; one that was never made is no error."""
    if Path(f"/run/netns/{name}").exists():
        run(["ip", "netns", "delete", name])
