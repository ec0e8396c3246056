"""Workers in threads of their own take over again and again while frames go through: none is lost.

A port is one end of a pair of sockets, which reads and writes as a TAP does, with its offload header; the host is at
the other end. What a host sent is awaited before it sends much more, as a socket has room for little.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether

from swlb._testing_sessions import audit
from swlb.build import build, take_over
from swlb.build_ports import Opened, port_names
from swlb.config import parse
from swlb.steering import owner
from swlb.succession import up_at_start

from .network import address16
from .reloaded import NO_OFFLOAD, SERVERS, config, service

PATIENCE_S = 10.0
CLIENT = "10.0.1.10"
VIP = "10.0.1.100"
MACS = {"client": "02:bb:00:00:00:01", "servers": "02:bb:00:00:00:02"}


class Wires:
    """Sockets for every port and worker: the worker's end and the host's."""

    def __init__(self, n_workers: int) -> None:
        self.n = n_workers
        self.ours: dict[str, list[socket.socket]] = {}
        self.hosts: dict[str, list[socket.socket]] = {}

    def devices(self, names: list[str]) -> dict[str, Opened]:
        """What is there for these ports, made where it is new; twins are of memory."""
        for name in names:
            if name not in self.ours and not name.endswith("/host"):
                pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(self.n)]
                self.ours[name] = [ours for ours, _ in pairs]
                self.hosts[name] = [host for _, host in pairs]
                for ours, host in pairs:
                    ours.setblocking(False)
                    host.settimeout(PATIENCE_S)
        return {name: Opened(tuple(end.fileno() for end in self.ours.get(name, ())), 1500) for name in names}

    def close(self, name: str) -> None:
        """The port's device is closed by whoever opened it."""
        for end in self.ours.pop(name):
            end.close()

    def end(self) -> None:
        for end in [end for ends in (*self.ours.values(), *self.hosts.values()) for end in ends]:
            end.close()


class Running:
    """A built configuration whose workers run."""

    def __init__(self, text: str, *, ring: bool, n_workers: int) -> None:
        self.head = f"workers: {n_workers}\n"
        self.ring = ring
        self.wires = Wires(n_workers)
        self.built = self._built(text, None)

    def _built(self, text: str, previous):
        config = parse(text.replace("mode: routed\n", "mode: routed\n" + self.head), file="test.yaml")
        names = port_names(config)
        return build(config, self.wires.devices(names), up_at_start=up_at_start(config), ring=self.ring,
                     previous=previous)

    def take_over(self, text: str) -> None:
        self.built = take_over(self.built, self._built(text, self.built))

    def worker_of(self, sport: int) -> int:
        return owner(address16(CLIENT), sport, self.built.key, self.wires.n) if self.wires.n > 1 else 0

    def send(self, port: str, worker: int, frame: bytes) -> None:
        self.wires.hosts[port][worker].send(NO_OFFLOAD + frame)

    def receive(self, port: str, worker: int) -> IP:
        """The next IP packet that left by the port; what swlb says of itself is passed over."""
        while True:
            frame = Ether(self.wires.hosts[port][worker].recv(2048)[10:])
            if IP in frame:
                return frame[IP]

    def greet(self) -> None:
        """Everybody is known to every worker."""
        known = [("client", CLIENT, "10.0.1.1"), *(("servers", ip, "10.0.2.1") for ip in SERVERS.values())]
        for port, ip, own in known:
            question = Ether(src=MACS[port], dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=MACS[port], psrc=ip, pdst=own)
            for worker in range(self.wires.n):
                self.send(port, worker, bytes(question))

    def ask(self, sport: int, flags: str) -> str:
        """Which server gets this from the client's port."""
        worker = self.worker_of(sport)
        packet = IP(src=CLIENT, dst=VIP) / TCP(sport=sport, dport=80, flags=flags)
        self.send("client", worker, bytes(Ether(src=MACS["client"], dst=self.built.macs["outside"].hex(":")) / packet))
        seen = self.receive("servers", worker)
        assert (seen.src, seen[TCP].sport, seen[TCP].dport, seen[TCP].flags) == (CLIENT, sport, 8080, flags)
        return seen.dst

    def answer(self, server: str, sport: int, flags: str) -> None:
        """The server's answer reaches the client's port from the VIP."""
        worker = self.worker_of(sport)
        packet = IP(src=server, dst=CLIENT) / TCP(sport=8080, dport=sport, flags=flags)
        self.send("servers", worker, bytes(Ether(src=MACS["servers"], dst=self.built.macs["inside"].hex(":")) / packet))
        seen = self.receive("client", worker)
        assert (seen.src, seen[TCP].sport, seen[TCP].dport, seen[TCP].flags) == (VIP, 80, sport, flags)


@contextmanager
def running(text: str, *, ring: bool = True, n_workers: int = 1) -> Iterator[Running]:
    at = Running(text, ring=ring, n_workers=n_workers)
    with ExitStack() as stack:
        stack.callback(at.wires.end)
        with at.built.workers.running():
            at.greet()
            yield at


def texts() -> Iterator[str]:
    """Configurations in which web1 to web4 stay, and all else comes and goes."""
    for number in range(40):
        more = [f"web{5 + number % 5}"]
        others = {f"s{number % 7}": service(["web1", f"web{1 + number % 9}"] if number % 9 else ["web1"], port=90)}
        third = {} if number % 3 else {"ports": ", third: {tap: tt}",
                                       "segments": "  third: {ports: [third], addresses: [10.0.3.1/24]}\n"}
        yield config(web=service(["web1", "web2", "web3", "web4", *more]), **others, **third)


@pytest.mark.parametrize("ring", [True, False])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_no_frame_is_lost_and_no_connection_moves(ring: bool, n_workers: int) -> None:
    with running(config(web=service(["web1", "web2", "web3", "web4"])), ring=ring, n_workers=n_workers) as at:
        server_of = {}
        for sport in range(4000, 4032):
            server_of[sport] = at.ask(sport, "S")
            at.answer(server_of[sport], sport, "SA")
            assert at.ask(sport, "A") == server_of[sport]
        assert set(server_of.values()) == {SERVERS[f"web{n}"] for n in range(1, 5)}
        for text in texts():
            # Frames are on their way to the workers, and from them, while they take over.
            for sport in server_of:
                packet = IP(src=CLIENT, dst=VIP) / TCP(sport=sport, dport=80, flags="PA")
                frame = bytes(Ether(src=MACS["client"], dst=at.built.macs["outside"].hex(":")) / packet)
                at.send("client", at.worker_of(sport), frame)
                if sport == 4003:
                    at.take_over(text)
            left = [list(server_of)] if n_workers == 1 else [
                [sport for sport in server_of if at.worker_of(sport) == worker] for worker in range(n_workers)]
            for worker, sports in enumerate(left):
                for sport in sports:
                    seen = at.receive("servers", worker)
                    assert (seen[TCP].sport, seen.dst) == (sport, server_of[sport])
        for sport, server in server_of.items():
            at.answer(server, sport, "PA")
    for worker in at.built.workers:
        assert audit(worker) is None


@pytest.mark.parametrize("ring", [True, False])
def test_ports_come_and_go_and_a_device_is_held_no_longer_than_its_port(ring: bool) -> None:
    third = {"ports": ", third: {tap: tt}", "segments": "  third: {ports: [third], addresses: [10.0.3.1/24]}\n"}
    with running(config(web=service(["web1"])), ring=ring) as at:
        for _ in range(3):
            at.take_over(config(web=service(["web1"]), **third))
            mac = "02:bb:00:00:00:03"
            question = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc="10.0.3.9", pdst="10.0.3.1")
            at.send("third", 0, bytes(question))
            assert Ether(at.wires.hosts["third"][0].recv(2048)[10:])[ARP].psrc == "10.0.3.1"
            ios = {at.built.workers.port(at.built.ports[name])["io"] for name in ("client", "third")}
            assert ios == {"io_uring" if ring else "read/write"}
            at.take_over(config(web=service(["web1"])))
            at.wires.close("third")
            # Nobody has the other end any more.
            assert at.wires.hosts["third"][0].recv(2048) == b""
            at.wires.hosts.pop("third")[0].close()
        assert at.ask(4000, "S") == SERVERS["web1"]
