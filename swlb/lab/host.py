"""A host of a lab: a network namespace, its devices, and the processes that were started in it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, CompletedProcess, Popen
from typing import Any

from swlb.errors import SwlbError
from swlb.lab.record import Process, Record
from swlb.namespaces import namespace, namespaces, new_namespace

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HTTP_PROGRAM = Path(__file__).with_name("hello.py")
BRIDGE = "br0"
SYSCTLS = Path("/proc/sys/net")

# A process waits here until it has been written down. Where the lab dies before that, the pipe ends and so does it.
GATE = """
import os, sys
fd = int(sys.argv[1])
os.set_inheritable(fd, False)
if os.read(fd, 1):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class Kind(Enum):
    """Whose a device is."""

    OWN = auto()  # a host's, or a router's
    TUNNEL = auto()  # a host's, where packets come out of a tunnel
    TAP = auto()  # a host's, and a port of swlb
    BRIDGED = auto()  # a TAP of swlb's that is plugged into a bridge
    HOME = auto()  # in swlb's namespace, the end of a cable for a packet port


@dataclass(frozen=True)
class Place:
    """A device where frames are seen."""

    host: str
    netns: str
    device: str
    kind: Kind = Kind.OWN

    @property
    def is_port(self) -> bool:
        """Whether what passes here passes swlb."""
        return self.kind in (Kind.TAP, Kind.BRIDGED, Kind.HOME)

    def where(self, leaving: bool) -> str:
        """The place of a frame that leaves the namespace by the device, or comes in by it."""
        if self.kind in (Kind.OWN, Kind.TAP):
            return f"at {self.host}"
        if self.kind is Kind.TUNNEL:
            return f"inside {self.host}"
        return "into swlb" if leaving is (self.kind is Kind.BRIDGED) else "out of swlb"


class Host:
    """A network namespace. `name` is the host's in the lab, `netns` what `ip netns` calls it.

    A device of it is the end of a cable, or a TAP of swlb's, which comes with Lab.switch. `places` are those where it
    is worth looking.
    """

    def __init__(
        self, record: Record, name: str, netns: str, addresses: tuple[str, ...], gateways: tuple[str, ...]
    ) -> None:
        self.name = name
        self.netns = netns
        self.addresses = addresses
        self.gateways = gateways
        self.is_bridge = False
        self.places: list[Place] = []
        self.server: Popen[Any] | None = None  # what `serve` started last
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
        return self.serve(f"HTTP server on port {l4_port}", *command, stderr=STDOUT)

    def serve(self, what: str, *command: str | Path, **options: Any) -> Popen[Any]:
        """A server that has said "listening"; nobody reads what else it says there. `options` are those of Popen."""
        self.server = child = self.popen(*command, stdout=PIPE, **options)
        assert child.stdout is not None
        with child.stdout as output:
            first = output.readline()
            if first != b"listening\n":
                raise SwlbError(f"{self.name}: no {what}: {(first + output.read()).decode()}")
        return child

    def ip(self, words: str) -> None:
        """`ip` has done it inside the host."""
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

    def connect(self, device: str, kind: Kind = Kind.OWN) -> None:
        """The device is up, has the host's addresses and is the way to its gateways."""
        self.look_at(device, kind)
        # Nobody else can have an address, so nobody is asked for it (duplicate address detection takes a second).
        lines = [f"link set {device} up"]
        lines += [f"address add {word} dev {device}" + (" nodad" if ":" in word else "") for word in self.addresses]
        lines += [f"route add default via {gateway} dev {device}" for gateway in self.gateways]
        _ip("-n", self.netns, "-batch", "-", text="\n".join(lines))

    def plug(self, tap: str) -> None:
        """A TAP of swlb's, which has just come, is the host's device, or a port of its bridge."""
        if not self.is_bridge:
            self.connect(tap, Kind.TAP)
            return
        self.look_at(tap, Kind.BRIDGED)
        self.ip(f"link set {tap} master {BRIDGE} up")

    def look_at(self, device: str, kind: Kind = Kind.OWN) -> None:
        """The device is a place where frames are seen."""
        self.places.append(Place(self.name, self.netns, device, kind))

    def is_unplugged(self) -> bool:
        """Whether swlb's TAPs are gone; they are no places any more."""
        self.places = [place for place in self.places if self.has(place.device)]
        return not any(place.kind in (Kind.TAP, Kind.BRIDGED) for place in self.places)

    def has(self, device: str) -> bool:
        """Whether there is a device of that name."""
        with namespace(self.netns):
            return device in [name for _, name in socket.if_nameindex()]

    def set(self, key: str, value: str) -> None:
        """The setting (`ipv4/ip_forward`) has the value."""
        with namespace(self.netns):
            _set(key, value)

    def become_bridge(self) -> None:
        """There is a kernel bridge, which keeps silent: no address, no IPv6, no queries for multicast."""
        self.set("ipv6/conf/default/disable_ipv6", "1")
        self.ip(f"link add {BRIDGE} type bridge mcast_snooping 0")
        self.ip(f"link set {BRIDGE} up")
        self.is_bridge = True


def make_namespace(record: Record, name: str) -> None:
    """There is a new namespace of that name with its loopback up. Raises SwlbError where there was one before."""
    if name in namespaces():
        raise SwlbError(f"there is a namespace {name} already, and it is not this lab's; look into it with: ip netns")
    with new_namespace() as inode:
        record.will_have_namespace(name, inode)
        # Made without a name first, so that its inode can be written down before the name is there. A child that was
        # begun just when we are told to stop would be forgotten, and make the name when all has been taken away.
        with undisturbed():
            _ip("netns", "attach", name, str(threading.get_native_id()))
        # Some containers have it off for every new namespace.
        for scope in ("all", "default"):
            _set(f"ipv6/conf/{scope}/disable_ipv6", "0")
        _ip("link", "set", "lo", "up")


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal to stop that comes within the block takes effect after it.

    A mask would not do: it is the main thread's own, and the kernel gives the signal to any other that there is.
    """
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in STOPPING if is_main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for told in came[:1]:
            signal.raise_signal(told)


def lay_cable(host: Host, device: str, far: Host) -> None:
    """A cable leads from the host's new device to `far`, where its end has the host's name."""
    _ip("-n", far.netns, *f"link add {host.name} type veth peer name {device} netns {host.netns}".split())
    far.ip(f"link set {host.name} up" + (f" master {BRIDGE}" if far.is_bridge else ""))


def _set(key: str, value: str) -> None:
    setting = SYSCTLS / key
    if setting.read_text().strip() != value:
        setting.write_text(value)


def _ip(*words: str, text: str = "") -> None:
    done = subprocess.run(["ip", *words], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SwlbError(f"ip {' '.join(words)}: {done.stderr.strip()}")
