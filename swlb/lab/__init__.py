"""Labs: hosts and servers around a swlb, all on one machine, in the spirit of Mininet.

    with Lab("routed") as lab:
        client = lab.host("client", "10.0.1.10/24", gateway="10.0.1.1")
        web1 = lab.host("web1", "10.0.2.11/24", gateway="10.0.2.1")
        lab.switch(CONFIGURATION)               # as for `swlb run`; `netns: client` is the host of that name
        web1.http(8080)
        lab.wait(lab.all_serve, "every server is up")
        print(client.run("curl", "-s", "http://10.0.1.100/").stdout)

A host is a network namespace `swlb-LAB-HOST`, and swlb has one of its own: the machine's interfaces, routes and
settings are not touched. A link is a TAP port of swlb; where swlb is not the switch, there are cables, bridges and
routers. Whatever happens within the block, afterwards all of it is gone; and after a SIGKILL, when `swlb lab down` has
read the lab's record (swlb.lab.record). Needs root and iproute2.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

from swlb.client import ask
from swlb.config import Config, parse
from swlb.errors import SwlbError
from swlb.lab import record
from swlb.lab.host import Host, Kind, Place, lay_cable, make_namespace, undisturbed
from swlb.lab.record import Process, Record

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
SWITCH = "swlb"  # the host that swlb itself runs in
CABLE = "eth0"  # what a host calls its end
POLL_S = 0.01
START_S = 20.0  # swlb has printed "ready" by then, on a slow machine too

T = TypeVar("T")


class Lab:
    """Hosts around a swlb. All it makes is written down first and is gone when the block ends."""

    def __init__(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise SwlbError(f"a lab cannot be called {name!r}; expected up to 32 small letters, digits and '-'")
        self.name = name
        self.hosts: dict[str, Host] = {}
        self.control = record.DIRECTORY / f"{name}.sock"
        self.log = record.DIRECTORY / f"{name}.log"
        self.file = record.DIRECTORY / f"{name}.yaml"
        self._config: Config | None = None
        self._swlb: Popen[Any] | None = None
        self._unplugged: list[tuple[Host, str]] = []
        self._record = Record(name, Process.of(os.getpid(), " ".join(sys.argv)))
        self._left = False

    def __enter__(self) -> Self:
        _needs_root()
        if shutil.which("ip") is None:
            raise SwlbError("a lab needs the command 'ip': install the package iproute2")
        self._record.create()
        self._host(SWITCH, (), ())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._left:
            self.close()

    @property
    def config(self) -> Config:
        """What swlb runs with."""
        assert self._config is not None, "Lab.switch comes first"
        return self._config

    @property
    def home(self) -> Host:
        """The host that swlb runs in."""
        return self.hosts[SWITCH]

    @property
    def places(self) -> list[Place]:
        """Where frames are seen, at all hosts."""
        return [place for host in self.hosts.values() for place in host.places]

    def host(self, name: str, *addresses: str, gateway: str | Iterable[str] = (), at: str | None = None) -> Host:
        """A new host. It has the addresses ("10.0.1.10/24") and default routes once it has its device.

        That is a TAP of swlb's; or, with `at`, the end of a cable that leads to this bridge, or to "swlb" itself, where
        the other end has the host's name and is there for a packet port.
        """
        gateways = (gateway,) if isinstance(gateway, str) else tuple(gateway)
        host = self._host(name, addresses, gateways)
        if at is not None:
            self._lay_cable(host, CABLE, at)
            host.connect(CABLE)
        return host

    def bridge(self, name: str) -> Host:
        """A new switch that is not swlb. A TAP port with its name as `netns` is plugged into it."""
        host = self._host(name, (), ())
        host.become_bridge()
        return host

    def router(self, name: str, **legs: str) -> Host:
        """A new router, with a device for each of the bridges; `lan="10.0.1.254/24 fd00:1::254/64"`."""
        router = self._host(name, (), ())
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            router.set(key, "1")
        for bridge, addresses in legs.items():
            self._lay_cable(router, bridge, bridge)
            router.addresses = tuple(addresses.split())
            router.connect(bridge)
        return router

    def switch(self, configuration: str | Mapping[str, Any]) -> None:
        """swlb forwards between the hosts made so far; one that ran before has ended.

        `netns` of a port is the name of a host or bridge. Raises ConfigError for a wrong configuration, SwlbError when
        swlb does not start.
        """
        data = yaml.safe_load(configuration) if isinstance(configuration, str) else configuration
        text = yaml.safe_dump(self._with_namespaces(data), sort_keys=False)
        self._config = parse(text, file=str(self.file))
        self._make_room()
        self.file.write_text(text)
        by_netns = {host.netns: host for host in self.hosts.values()}
        made = [(port.netns, port.device) for port in self._config.ports.values() if port.packet is None]
        self._unplugged = [(by_netns[netns], device) for netns, device in made if netns in by_netns]
        command = (sys.executable, "-m", "swlb", "run", self.file, "--control", self.control)
        with self.log.open("wb") as log:
            self._swlb = self.home.popen(*command, stdout=log, stderr=log, env=environment())
        self.wait(self._is_ready, "swlb is ready", START_S)

    def wait(self, condition: Callable[[], T], what: str, timeout: float = 10.0) -> T:
        """What the condition returned when it was true at last. Raises SwlbError after `timeout` seconds without."""
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            if time.monotonic() > deadline:
                raise SwlbError(f"lab {self.name}: waited {timeout:g} s in vain until {what}")
            time.sleep(POLL_S)
        return result

    def show(self, noun: str) -> list[dict[str, Any]]:
        """What `swlb show NOUN --json` prints."""
        return ask(self.control, "GET", f"/show/{noun}")

    def order(self, server: str, order: str) -> None:
        """What `swlb set server SERVER ORDER` does."""
        ask(self.control, "POST", "/set/server", {"server": server, "order": order})

    def log_of(self, host: Host) -> Path:
        """Where a program in the host may write what it says; gone with the lab."""
        path = record.DIRECTORY / f"{self.name}.{host.name}.log"
        if str(path) not in self._record.files:
            self._record.will_have_file(path)
        return path

    def all_serve(self) -> bool:
        """Whether every server of every service is up."""
        return all(row["operational"] == "up" for row in self.show("servers"))

    def last_words(self, count: int = 15) -> str:
        """The last lines of swlb's log."""
        return "\n".join(self.log.read_text().splitlines()[-count:]) if self.log.exists() else ""

    def leave(self) -> None:
        """The lab stays when the block ends, until `swlb lab down`."""
        self._record.owner = None
        self._record.save()
        self._left = True

    def close(self) -> None:
        """Nothing of the lab is left. Signals that would stop us halfway wait until it is done."""
        with undisturbed():
            self._record.remove_all()
            for host in self.hosts.values():
                host.forget_children()

    def _host(self, name: str, addresses: tuple[str, ...], gateways: tuple[str, ...]) -> Host:
        if name in self.hosts:
            raise SwlbError(f"lab {self.name} has a host {name} already")
        netns = self._netns(name)
        make_namespace(self._record, netns)
        self.hosts[name] = Host(self._record, name, netns, addresses, gateways)
        return self.hosts[name]

    def _lay_cable(self, host: Host, device: str, at: str) -> None:
        far = self.hosts[at]
        lay_cable(host, device, far)
        if far is self.home:
            far.look_at(host.name, Kind.HOME)

    def _make_room(self) -> None:
        """No swlb runs, and its files may be written."""
        if self._swlb is None:
            for path in (self.control, self.log, self.file):
                self._record.will_have_file(path)
            return
        self.home.end(self._swlb)
        # A ring may keep its devices for a moment longer than its process.
        self.wait(lambda: all(host.is_unplugged() for host in self.hosts.values()), "swlb's devices are gone")

    def _netns(self, host: str) -> str:
        return f"swlb-{self.name}-{host}"

    def _with_namespaces(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with the namespaces of the hosts that its ports name."""
        ports = {
            name: {**port, "netns": self._netns(port["netns"])} if port.get("netns") in self.hosts else port
            for name, port in configuration["ports"].items()
        }
        return {**configuration, "ports": ports}

    def _is_ready(self) -> bool:
        """Whether it forwards. Its TAPs are plugged in as they come, for its first checks not to be in vain."""
        assert self._swlb is not None
        if self._swlb.poll() is not None:
            raise SwlbError(f"lab {self.name}: swlb did not start:\n{self.last_words()}")
        for host, tap in [plug for plug in self._unplugged if plug[0].has(plug[1])]:
            host.plug(tap)
            self._unplugged.remove((host, tap))
        return not self._unplugged and "ready" in self.log.read_text().splitlines()


def take_down(name: str) -> list[str]:
    """A lab that was left up, or killed, is gone; sentences about what was left to others.

    Raises SwlbError when there is none, or when the process that runs it is still there.
    """
    if not NAME.fullmatch(name):
        raise SwlbError(f"no lab can be called {name!r}")
    _needs_root()
    left = record.read_record(name)
    if left.owner is not None and left.owner.is_there():
        owner = f"process {left.owner.pid} ({left.owner.command})"
        raise SwlbError(f"lab {name} is being run by {owner}: end that with Ctrl-C or SIGTERM, and it tidies up itself")
    with undisturbed():
        return left.remove_all()


def _needs_root() -> None:
    if os.geteuid() != 0:
        raise SwlbError("a lab needs root, for network namespaces and TAP devices: run it again with sudo")


def environment() -> dict[str, str]:
    """That of a process for which `python -m swlb` is this very package, wherever it is started."""
    package = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])}
