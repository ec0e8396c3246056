"""A hundred services of ten servers each change ten times, and what goes through swlb meanwhile arrives, all of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from netns.datagrams import plain_echo, roomy
from netns.running import START_S, Site, made_namespaces
from netns.sites import Routed, config_of, site
from netns.streams import PATIENCE_S, block, receive_stream
from netns.traffic import connect, listening

pytestmark = pytest.mark.root

RELOADS, SERVICES, SERVERS = 10, 100, 10
VIP = Routed.vips[4]
FLOWS, BURST = 8, 8  # 64 on their way: as many as wait for a neighbour, and far fewer than a device has room for
ECHO_PORT, STREAM_PORT = 9009, 9090
SCHEDULERS = ("wrr", "maglev", "wlc", "hash")


def numbered(round_: int) -> Callable[[dict[str, Any]], None]:
    """The configuration of that round: in each a tenth of the services lose a server and get another, some weights and
    checks are others, and so are schedulers."""

    def change(config: dict[str, Any]) -> None:
        config["workers"] = 2
        services = config["services"]
        address = services["web"]["servers"]["web1"]["address"]
        for n in range(SERVICES):
            servers = {f"s{i}": {"address": address, "port": 20000 + i} for i in range(SERVERS)}
            check = {"interval": "60s", "initial": "up"}  # nobody is there, and few are asked
            services[f"many{n}"] = {"vip": VIP, "port": 10000 + n, "scheduler": "maglev", "servers": servers}
            services[f"many{n}"]["check"] = check
            if n % RELOADS == round_:
                servers[f"late{round_}"] = servers.pop("s3") | {"port": 30000}
                servers["s1"]["weight"] = 2 + round_
                check["interval"] = "70s"
                services[f"many{n}"]["scheduler"] = SCHEDULERS[round_ % len(SCHEDULERS)]
        to = {"web1": {"address": address}}
        # What the traffic goes through changes, too: another server comes and goes beside its own.
        gone = {"gone": {"address": services["web"]["servers"]["web3"]["address"], "weight": 0}} if round_ % 2 else {}
        scheduler = SCHEDULERS[round_ % len(SCHEDULERS)]
        services["echoed"] = {"vip": VIP, "port": ECHO_PORT, "protocol": "udp", "servers": to | gone,
                              "scheduler": scheduler}  # fmt: skip
        services["streamed"] = {"vip": VIP, "port": STREAM_PORT, "servers": to | gone, "scheduler": scheduler,
                                "check": {"interval": "500ms", "dead_interval": "500ms"},
                                "on_down": "keep"}  # fmt: skip

    return change


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lossless")
    with made_namespaces() as make, site(Routed, make, directory, change=numbered(0)) as at:
        yield at


def reload_often(at: Site) -> None:
    for n in range(1, RELOADS + 1):
        loaded = len(at.swlb.events("config_loaded"))
        at.swlb.reload(config_of(Routed, at.hosts, numbered(n % RELOADS)))
        told = at.swlb.events("config_loaded")
        assert len(told) > loaded
        assert "server" in told[-1]["text"]


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Within the block it is at work in a thread, until it sees the event; what goes wrong there is raised here."""
    ending, errors = threading.Event(), []

    def run() -> None:
        try:
            work(ending)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
    assert errors == []


class Flow:
    """Datagrams of one socket, numbered, and what came back of them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.n = 0
        self.back: list[bytes] = []

    def send(self) -> None:
        self.sock.send(self.n.to_bytes(8))
        self.n += 1

    def receive(self) -> None:
        """All echoes are here; TimeoutError when one does not come."""
        while len(self.back) < self.n:
            self.back.append(self.sock.recv(100))

    @property
    def sent(self) -> list[bytes]:
        return [n.to_bytes(8) for n in range(self.n)]


def test_every_datagram_comes_once_and_in_order(at):
    with plain_echo(at["web1"], at["web1"].ipv4, ECHO_PORT) as heard, ExitStack() as stack:
        flows = []
        for _ in range(FLOWS):
            sock = stack.enter_context(closing(roomy(at.client.socket(4, socket.SOCK_DGRAM))))
            sock.settimeout(PATIENCE_S)
            sock.connect((VIP, ECHO_PORT))
            flows.append(Flow(sock))
            # Alone, so that neighbours are known: what waits for one may be overtaken.
            flows[-1].send()
            flows[-1].receive()

        def go_on(ending: threading.Event) -> None:
            while not ending.is_set():
                for flow in flows:
                    for _ in range(BURST):
                        flow.send()
                for flow in flows:
                    flow.receive()

        with beside(go_on):
            reload_often(at)
        for flow in flows:
            flow.sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                flow.sock.recv(100)  # what came twice would be here by now
            assert flow.n > RELOADS
            assert heard.datagrams[flow.sock.getsockname()[1]] == flow.sent == flow.back


def test_every_byte_of_a_download_comes(at):
    sent: list[int] = []
    received: list[int] = []
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        if not sock.recv(1):
            return  # a check
        number = 0
        while not over.is_set():
            sock.sendall(block(number))
            number += 1
        sent.append(number)

    def download(ending: threading.Event) -> None:
        with closing(connect(at.client, VIP, STREAM_PORT)) as sock:
            sock.sendall(b"?")
            received.append(receive_stream(sock))

    with listening(at["web1"], at["web1"].ipv4, STREAM_PORT, serve):
        at.swlb.wait_operational("up", "streamed/web1", within=START_S)
        with beside(download):
            reload_often(at)
            over.set()
        assert received == sent
        assert received[0] > RELOADS
