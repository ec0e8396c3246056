"""A running swlb between hosts, as its operator and their users see it: nothing of it is called, only watched.

A Host is a network namespace with one device, which is a port of swlb. A Site is swlb in a namespace of its own with
the hosts around it; sites.py makes those that most tests use. swlb runs as `python -m swlb run`.
"""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from swlb.client import ask
from swlb.namespaces import namespace

ROOT = Path(__file__).parents[2]
POLL_S = 0.01
START_S = 15.0  # a busy machine takes its time to start a Python
STOP_S = 10.0

T = TypeVar("T")


def wait_until(holds: Callable[[], T], what: str, *, within: float = 5.0) -> T:
    """What `holds` returned when it first was true; the test fails when that takes longer than `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := holds()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(POLL_S)
    return value


def ip(netns: str, command: str) -> str:
    """What `ip` prints in the namespace."""
    argv = ["ip", "-n", netns, *command.split()]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


@contextmanager
def made_namespaces() -> Iterator[Callable[[], str]]:
    """Each call makes a network namespace with `lo` up and returns its name; all are gone after the block."""
    names: list[str] = []

    def make() -> str:
        name = f"swlb-test-{secrets.token_hex(4)}"
        names.append(name)
        subprocess.run(["ip", "netns", "add", name], check=True)
        ip(name, "link set lo up")
        return name

    try:
        yield make
    finally:
        for name in names:
            # A test may have deleted it itself.
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


@dataclass(frozen=True)
class Host:
    """A station: a namespace, its device, its addresses ("10.0.1.10/24") and its gateways.

    `switch`: the bridge of the same namespace that the device is to be a port of; "" is none.
    """

    name: str
    netns: str
    device: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    switch: str = ""

    @property
    def ipv4(self) -> str:
        return self.addresses[0].partition("/")[0]

    @property
    def ipv6(self) -> str:
        return self.addresses[1].partition("/")[0]

    def address(self, family: int) -> str:
        return self.ipv4 if family == 4 else self.ipv6

    @property
    def mac(self) -> str:
        with namespace(self.netns):
            # /sys shows the namespace that mounted it; the kernel's answer to `ip` does not depend on that.
            return ip(self.netns, f"-o link show {self.device}").partition("link/ether ")[2].split()[0]

    def ip(self, command: str) -> str:
        """What `ip` prints inside."""
        return ip(self.netns, command)

    def configure(self) -> None:
        """The device has the host's addresses, gateways and switch; waits until there is a device, and up."""
        lines = [f"address replace {address} dev {self.device} nodad" for address in self.addresses if ":" in address]
        lines += [f"address replace {address} dev {self.device}" for address in self.addresses if ":" not in address]
        lines += [f"route replace default via {gateway} dev {self.device}" for gateway in self.gateways]
        lines += [f"link set {self.device} master {self.switch} up"] if self.switch else []
        argv = ["ip", "-n", self.netns, "-batch", "-"]
        text = "\n".join(lines)

        def configured() -> bool:
            return subprocess.run(argv, input=text, text=True, check=False, stderr=subprocess.DEVNULL).returncode == 0

        wait_until(configured, f"{self.device} in {self.netns} configured", within=START_S)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """The command has run inside and ended."""
        return subprocess.run([*inside(self.netns), *argv], check=False, capture_output=True, text=True, timeout=60)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that stays inside. `family` is 4, 6 or one of the AF_ numbers."""
        family = {4: socket.AF_INET, 6: socket.AF_INET6}.get(family, family)
        with namespace(self.netns):
            return socket.socket(family, kind, protocol)


def inside(netns: str) -> list[str]:
    """What to write before a command so that it runs in the namespace."""
    # Not `ip netns exec`: it makes a mount namespace, whose copies of the mounts keep deleted namespaces alive.
    return ["nsenter", f"--net=/run/netns/{netns}"]


class Swlb:
    """One process `python -m swlb run` in a namespace, its files in a directory of its own."""

    def __init__(self, config: str, *, netns: str, directory: Path, options: Sequence[str] = ()) -> None:
        self.netns = netns
        self.file = directory / "swlb.yaml"
        self.control = directory / "swlb.sock"
        self._output, self._log = directory / "stdout", directory / "stderr"
        self.file.write_text(config)
        command = [*inside(netns), *SWLB, "run", str(self.file), "--control", str(self.control), *options]
        with self._output.open("w") as output, self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return self._log.read_text()

    @property
    def output(self) -> str:
        """What it has written to stdout."""
        return self._output.read_text()

    def wait_ready(self) -> None:
        """Frames are forwarded."""
        wait_until(lambda: self.process.poll() is not None or "ready\n" in self.output, "ready", within=START_S)
        assert self.process.poll() is None, self.log

    def wait_end(self) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(timeout=START_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code after the signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def show(self, noun: str) -> list[dict]:
        """What `swlb show NOUN --json` prints, without the price of a Python's start."""
        return ask(self.control, "GET", f"/show/{noun}")

    def row(self, noun: str, **fields: object) -> dict:
        """The one row that has these fields."""
        (row,) = (row for row in self.show(noun) if fields.items() <= row.items())
        return row

    def drops(self) -> dict[str, int]:
        """Frames dropped, by reason."""
        return {row["reason"]: row["frames"] for row in self.show("drops")}

    def events(self, kind: str) -> list[dict]:
        """The events of a kind, oldest first."""
        return [event for event in self.show("events") if event["kind"] == kind]

    def order(self, server: str, order: str) -> None:
        """The server has its order, as by `swlb set server`."""
        ask(self.control, "POST", "/set/server", {"server": server, "order": order})

    def reload(self, config: str) -> None:
        """The configuration is in force, as by `swlb reload`."""
        self.file.write_text(config)
        ask(self.control, "POST", "/reload", {"file": None})

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command has run and ended."""
        return cli(*words, "--control", str(self.control))

    def cpu_s(self) -> float:
        """Processor time that all its threads have used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def operational(self) -> dict[str, str]:
        """The operational state of each server, by "SERVICE/SERVER"."""
        return {f"{row['service']}/{row['server']}": row["operational"] for row in self.show("servers")}

    def wait_operational(self, state: str, *servers: str, within: float = 5.0) -> float:
        """Seconds until the servers ("SERVICE/SERVER", none: all) were in that state."""
        began = time.monotonic()

        def holds() -> bool:
            states = self.operational()
            return all(states[server] == state for server in servers or states)

        wait_until(holds, f"{servers or 'all servers'} {state}", within=within)
        return time.monotonic() - began


SWLB = [sys.executable, "-m", "swlb"]


def cli(*words: str, netns: str | None = None) -> subprocess.CompletedProcess[str]:
    """`swlb WORDS` has run and ended."""
    argv = [*(inside(netns) if netns else ()), *SWLB, *words]
    return subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)


@contextmanager
def running(
    config: str, *, netns: str, directory: Path, hosts: Iterable[Host] = (), options: Sequence[str] = ()
) -> Iterator[Swlb]:
    """Within the block swlb is ready and the hosts have their addresses; afterwards it has ended as it should.

    `options` are for `swlb run`.
    """
    swlb = Swlb(config, netns=netns, directory=directory, options=options)
    try:
        # As soon as their devices appear: a first probe that finds no station costs a second until the next ARP.
        for host in hosts:
            host.configure()
        swlb.wait_ready()
        yield swlb
    finally:
        killed = swlb.process.poll() is not None
        code = swlb.stop()
        print(swlb.log)
    assert killed or code == 0
    assert not re.search("Traceback|Error|Exception", swlb.log), swlb.log


@dataclass(frozen=True)
class Site:
    """A running swlb and the hosts around it, by name."""

    swlb: Swlb
    hosts: dict[str, Host]

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def client(self) -> Host:
        return self.hosts["client"]

    @property
    def servers(self) -> list[Host]:
        return [host for name, host in self.hosts.items() if name.startswith("web")]
