"""Numbered datagrams of several flows, sent in bursts and echoed: what arrived, at both ends, in which order."""

import random
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

from netns.running import Host
from netns.traffic import PATIENCE_S, family_of, udp_client

SO_RCVBUFFORCE = 33  # asm-generic/socket.h
UDP_SEGMENT = 103  # linux/udp.h
IP_MTU_DISCOVER, PMTUDISC_DO = 10, 2  # linux/in.h
ROOM = 32 << 20  # nothing is lost for want of room in a socket
MOST_SEGMENTS, MOST_LEN = 60, 60_000


def datagram(flow: int, number: int, size: int) -> bytes:
    """The flow's datagram of that number: of a few bytes or more, no two are equal."""
    return random.Random(f"{flow}/{number}").randbytes(size)


@dataclass
class Heard:
    """What an echo received, by the port it came from."""

    datagrams: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))


@contextmanager
def plain_echo(host: Host, address: str, port: int) -> Iterator[Heard]:
    """Within the block each datagram comes back as it is."""
    heard, ending = Heard(), threading.Event()
    with closing(roomy(host.socket(family_of(address), socket.SOCK_DGRAM))) as sock:
        sock.bind((address, port))
        sock.settimeout(0.05)

        def answer() -> None:
            while not ending.is_set():
                with suppress(TimeoutError):
                    data, sender = sock.recvfrom(65536)
                    heard.datagrams[sender[1]].append(data)
                    sock.sendto(data, sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield heard
        finally:
            ending.set()
            thread.join()


def roomy(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    return sock


def exchange(client: Host, address: str, port: int, sizes: Sequence[Sequence[int]], *, burst: int,
             at_once: bool = False) -> dict[int, tuple[list[bytes], list[bytes]]]:
    """By the client's port: the datagrams a flow sent and those that came back. `sizes` has a list for each flow.

    All flows send `burst` datagrams, then wait for their echoes. `at_once`: runs of one size are handed over in one
    system call, for the kernel to take apart (UDP_SEGMENT), which sets DF in IPv4 only when told to. A first datagram
    of a flow of its own, not in the result, makes neighbours known: no more than 64 frames wait for one.
    """
    with udp_client(client, address, port) as sock:
        sock.send(b"first")
        assert sock.recv(100) == b"first"
    flows: dict[int, tuple[list[bytes], list[bytes]]] = {}
    with ExitStack() as stack:
        socks = []
        for flow, of_flow in enumerate(sizes):
            sock = stack.enter_context(roomy(client.socket(family_of(address), socket.SOCK_DGRAM)))
            sock.settimeout(PATIENCE_S)
            sock.connect((address, port))
            if at_once and family_of(address) == 4:
                sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
            flows[sock.getsockname()[1]] = ([datagram(flow, n, size) for n, size in enumerate(of_flow)], [])
            socks.append(sock)
        for begin in range(0, max(map(len, sizes)), burst):
            parts = [sent[begin:begin + burst] for sent, _ in flows.values()]
            for sock, part in zip(socks, parts, strict=True):
                send(sock, part, at_once=at_once)
            for sock, part, (_, back) in zip(socks, parts, flows.values(), strict=True):
                with suppress(TimeoutError):
                    back += [sock.recv(65536) for _ in part]
        for sock, (_, back) in zip(socks, flows.values(), strict=True):
            # What came twice is there by now: all else has come.
            sock.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    back.append(sock.recv(65536))
    return flows


def send(sock: socket.socket, datagrams: list[bytes], *, at_once: bool) -> None:
    """The datagrams have been sent, one by one or in runs of one size."""
    if not at_once:
        for data in datagrams:
            sock.send(data)
        return
    for run in runs(datagrams):
        option = (socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", len(run[0])))
        sock.sendmsg([b"".join(run)], [option] if len(run) > 1 else [])


def runs(datagrams: list[bytes]) -> Iterator[list[bytes]]:
    """The datagrams, as many of one size together as one system call takes."""
    run: list[bytes] = []
    for data in datagrams:
        full = len(run) == MOST_SEGMENTS or sum(map(len, run)) + len(data) > MOST_LEN
        if run and (full or len(data) != len(run[0])):
            yield run
            run = []
        run.append(data)
    yield run


def mixed_sizes(choose: random.Random, n: int, *, most: int) -> list[int]:
    """n sizes from 1 to `most`: single ones, and runs of one size."""
    sizes: list[int] = []
    while len(sizes) < n:
        size = choose.choice((1, 2, most, most - 1, choose.randrange(1, most + 1)))
        sizes += [size] * choose.choice((1, 1, 3, 30))
    return sizes[:n]
