"""A server that runs `swlb decap`, and a client whose packets for the VIPs are put into tunnels, by scapy.

The client's kernel sends them to a TUN device, and what comes out of that is wrapped, as a balancer would. Answers come
by the wire: the client is the server's neighbour.
"""

import json
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytun
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from netns.running import ROOT, START_S, STOP_S, SWLB, Host, inside, ip, wait_until
from swlb.namespaces import namespace

VIPS = {4: "10.0.9.9", 6: "fd00:9::9"}
DEVICE, GUE_PORT = "swdecap0", 6080
PROTOCOLS = {4: 4, 6: 41}


def words_for(vips: Iterable[str]) -> list[str]:
    """What names the VIPs on the command line."""
    return [word for vip in vips for word in ("--vip", vip)]


def a_pair(make_netns: Callable[[], str]) -> tuple[Host, Host]:
    """A client and a server, neighbours by a veth."""
    client, server = make_netns(), make_netns()
    ip(client, f"link add eth0 type veth peer name eth0 netns {server}")
    pair = (
        Host("client", client, "eth0", ("10.0.0.10/24", "fd00::10/64")),
        Host("server", server, "eth0", ("10.0.0.11/24", "fd00::11/64")),
    )
    for host in pair:
        # The link-local address would be tentative for a second or two, and IPv6 ask for nobody meanwhile.
        assert host.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0").returncode == 0
        host.ip("link set eth0 up")
        host.configure()
    return pair


def gue(inner: Packet | bytes, *, first: int = 0, protocol: int | None = None, flags: int = 0) -> Packet:
    """A UDP datagram that carries the packet."""
    data = bytes(inner)
    header = bytes([first, PROTOCOLS[data[0] >> 4] if protocol is None else protocol]) + flags.to_bytes(2)
    return UDP(sport=50000, dport=GUE_PORT) / Raw(header + data)


def wrapped(kind: str, outer: Packet, inner: bytes) -> Packet:
    """The packet in a tunnel."""
    if kind == "gue":
        return outer / gue(inner)
    protocol = PROTOCOLS[inner[0] >> 4]
    outer = outer.copy()
    outer[0].setfieldval("proto" if isinstance(outer, IP) else "nh", protocol)
    return outer / Raw(inner)


@dataclass(frozen=True)
class Pair:
    """The client, the server, and the process on it."""

    client: Host
    server: Host
    decap: "Decap"

    def outer(self, family: int, **fields: object) -> Packet:
        """The header of a packet from the client to the server, without a protocol."""
        header = IP if family == 4 else IPv6
        return header(**{"src": self.client.address(family), "dst": self.server.address(family)} | fields)

    def send(self, *packets: Packet, to: str | None = None, times: int = 1) -> None:
        """The packets have gone out on the wire, so many times."""
        frame = Ether(src=self.client.mac, dst=to or self.server.mac)
        frames = [bytes(frame / packet) for packet in packets]
        with closing(self.client.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
            sock.bind((self.client.device, 0))
            for data in frames * times:
                sock.send(data)


class Decap:
    """One process `swlb decap --json` in the server's namespace."""

    def __init__(self, server: Host, directory: Path, *options: str, vips: Iterable[str] = VIPS.values()) -> None:
        self.server = server
        self._output, self._log = directory / "stdout", directory / "stderr"
        command = [*inside(server.netns), *SWLB, "decap", *words_for(vips), "--json", *options]
        with self._output.open("w") as output, self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def output(self) -> list[str]:
        """Whole lines that it has written to stdout."""
        return self._output.read_text().split("\n")[:-1]

    def wait_ready(self) -> None:
        """It receives."""
        wait_until(lambda: self.process.poll() is not None or "ready" in self.output, "ready", within=START_S)
        assert self.process.poll() is None, self._log.read_text()

    def report(self) -> dict:
        """What it has counted, by its own words after SIGUSR1."""
        lines = len(self.output)
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: len(self.output) > lines, "a report")
        return json.loads(self.output[-1])

    def passed(self, kind: str, outer: int, inner: int) -> int:
        """How many packets went on."""
        ways = self.report()["tunnels"]
        return next(w["packets"] for w in ways if (w["tunnel"], w["outer"], w["inner"]) == (kind, outer, inner))

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


@contextmanager
def unpacking(
    server: Host, directory: Path, *options: str, vips: Iterable[str] = VIPS.values()
) -> Iterator[Decap]:
    """Within the block the server unpacks; afterwards it has ended as it should, and said nothing else."""
    decap = Decap(server, directory, *options, vips=vips)
    try:
        decap.wait_ready()
        yield decap
    finally:
        ended = decap.process.poll() is not None
        code = decap.stop()
    assert ended or code == 0
    assert (directory / "stderr").read_text() == ""


@contextmanager
def balancing(pair: Pair, kind: str, outer: int) -> Iterator[None]:
    """Within the block what the client's kernel sends to the VIPs goes to the server by tunnels of that kind."""
    client = pair.client
    with namespace(client.netns):
        tun = pytun.TunTapDevice(name="tun0", flags=pytun.IFF_TUN | pytun.IFF_NO_PI)
    client.ip("link set tun0 up mtu 1400")
    for family, vip in VIPS.items():
        client.ip(f"-{family} route add {vip} dev tun0 src {client.address(family)}")
    ending, wake = os.pipe()

    def wrap() -> None:
        while ending not in (ready := select.select([tun, ending], [], [])[0]):
            assert ready
            if (inner := tun.read(65536))[0] >> 4 == 4 or inner[24:40] == socket.inet_pton(socket.AF_INET6, VIPS[6]):
                pair.send(wrapped(kind, pair.outer(outer), inner))

    thread = threading.Thread(target=wrap)
    thread.start()
    try:
        yield
    finally:
        os.close(wake)
        thread.join()
        os.close(ending)
        tun.close()
