"""A host of a lab: a network namespace, and the processes that were started in it."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, CompletedProcess, Popen
from typing import Any

from swlb.errors import SwlbError
from swlb.lab.record import Process, Record
from swlb.namespaces import namespaces, new_namespace

HTTP_PROGRAM = Path(__file__).with_name("hello.py")

# A process waits here until it has been written down. Where the lab dies before that, the pipe ends and so does it.
GATE = """
import os, sys
fd = int(sys.argv[1])
os.set_inheritable(fd, False)
if os.read(fd, 1):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class Host:
    """A network namespace with one device, `eth0` or whatever the configuration calls its TAP.

    `name` is the host's in the lab, `netns` what `ip netns` calls it. The device comes with Lab.switch.
    """

    def __init__(
        self, record: Record, name: str, netns: str, addresses: tuple[str, ...], gateways: tuple[str, ...]
    ) -> None:
        self.name = name
        self.netns = netns
        self.addresses = addresses
        self.gateways = gateways
        self.device: str | None = None
        self.server: Popen[Any] | None = None  # what `http` started last
        self._record = record
        self._children: dict[int, tuple[Popen[Any], Process]] = {}

    def popen(self, *command: str | Path, **options: Any) -> Popen[Any]:
        """The command begins inside the host; the lab ends it at the latest. `options` are those of Popen.

        It has no standard input and a session of its own, so that Ctrl-C is the lab's alone.
        """
        words = [str(word) for word in command]
        read_fd, write_fd = os.pipe()
        try:
            gate = [sys.executable, "-I", "-S", "-c", GATE, str(read_fd), "ip", "netns", "exec", self.netns, *words]
            options = {"stdin": DEVNULL, **options, "start_new_session": True, "pass_fds": (read_fd,)}
            child = Popen(gate, **options)
            process = Process.of(child.pid, " ".join(words))
            self._record.will_have_process(process)
            os.write(write_fd, b"\n")
        finally:
            os.close(read_fd)
            os.close(write_fd)
        self._children[child.pid] = (child, process)
        return child

    def run(self, *command: str | Path, timeout: float = 30.0) -> CompletedProcess[str]:
        """What came out of the command. Raises SwlbError when it fails or takes longer than `timeout` seconds."""
        child = self.popen(*command, stdout=PIPE, stderr=PIPE, text=True)
        words = " ".join(map(str, command))
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise SwlbError(f"{self.name}: {words}: not done after {timeout:g} s") from None
        finally:
            self.end(child)
        if child.returncode:
            raise SwlbError(f"{self.name}: {words}: exit code {child.returncode}; {(err or out).strip() or 'no word'}")
        return CompletedProcess(command, child.returncode, out, err)

    def http(self, l4_port: int) -> Popen[Any]:
        """A small HTTP server, of both families, that answers everybody with the host's name; it listens now."""
        command = (sys.executable, "-I", HTTP_PROGRAM, "serve", self.name, str(l4_port))
        self.server = child = self.popen(*command, stdout=PIPE, stderr=STDOUT)
        assert child.stdout is not None
        with child.stdout as output:
            first = output.readline()
            if first != b"listening\n":
                raise SwlbError(f"{self.name}: no HTTP server on port {l4_port}: {(first + output.read()).decode()}")
        return child

    def ip(self, words: str) -> None:
        """`ip` did it inside the host."""
        _ip("-n", self.netns, *words.split())

    def end(self, child: Popen[Any]) -> None:
        """The process has ended, by itself or now."""
        _, process = self._children.pop(child.pid)
        self._record.end_process(process)
        child.wait()

    def forget_children(self) -> None:
        """Those that were ended by the record are waited for, so that none stays behind as a zombie."""
        for child, _ in self._children.values():
            child.wait()
        self._children.clear()

    def connect(self, device: str) -> None:
        """The device, which has just come, has the host's addresses and is the way to its gateways."""
        self.device = device
        for address in self.addresses:
            # Nobody else can have it, so it need not be asked for (duplicate address detection takes a second).
            self.ip(f"address add {address} dev {device}" + (" nodad" if ":" in address else ""))
        for gateway in self.gateways:
            self.ip(f"route add default via {gateway} dev {device}")


def make_namespace(record: Record, name: str) -> None:
    """There is a new namespace of that name with its loopback up. Raises SwlbError where there was one before."""
    if name in namespaces():
        raise SwlbError(f"there is a namespace {name} already, and it is not this lab's; look into it with: ip netns")
    with new_namespace() as inode:
        record.will_have_namespace(name, inode)
        # Made without a name first, so that its inode can be written down before the name is there.
        _ip("netns", "attach", name, str(threading.get_native_id()))
        # Some containers have it off for every new namespace.
        for scope in ("all", "default"):
            _enable_ipv6(Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"))
        _ip("link", "set", "lo", "up")


def _enable_ipv6(setting: Path) -> None:
    if setting.read_text().strip() != "0":
        setting.write_text("0")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SwlbError(f"ip {' '.join(words)}: {done.stderr.strip()}")
