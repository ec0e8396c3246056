"""Servers on loopback that do as they are told, each in a thread of its own, for as long as a block."""

import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

from swlb.probes import Target

HOSTS = ["127.0.0.9", "::1"]

_accepting = threading.Lock()
_accepted: set[str] = set()  # descriptors of the connections of all these servers


def target_of(sock: socket.socket) -> Target:
    """Where the socket is reached."""
    address, l4_port = sock.getsockname()[:2]
    return Target(ip_address(address), l4_port)


def bound(host: str, kind: int) -> socket.socket:
    """A socket of that kind at a free l4_port of the host."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    sock.bind((host, 0))
    return sock


@contextmanager
def answering(host: str, replies: Callable[[bytes], Iterable[bytes]]) -> Iterator[Target]:
    """A UDP server that sends these replies to each datagram; its socket is closed after the block."""
    with bound(host, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.02)  # how long the block's end may take
        ending = threading.Event()

        def serve() -> None:
            while not ending.is_set():
                with suppress(TimeoutError):
                    request, client = sock.recvfrom(65535)
                    for reply in replies(request):
                        if ending.is_set():
                            return
                        with suppress(OSError):  # ICMP errors about clients that are gone already
                            sock.sendto(reply, client)

        with _running(serve, ending):
            yield target_of(sock)


@contextmanager
def listening(host: str, serve: Callable[[socket.socket], None]) -> Iterator[Target]:
    """A TCP server that gives one connection after the other to `serve` and then closes it."""
    with bound(host, socket.SOCK_STREAM) as sock:
        sock.listen(8)
        ending = threading.Event()

        def accept() -> None:
            while not ending.is_set():
                if select.select([sock], [], [], 0.02)[0]:
                    with _connection(sock) as connection, suppress(ConnectionError, TimeoutError):
                        connection.settimeout(10)
                        serve(connection)

        with _running(accept, ending):
            yield target_of(sock)


def descriptors() -> set[str]:
    """The open descriptors of this process, but for connections of these servers."""
    with _accepting:
        listed = os.listdir("/proc/self/fd")
        # One of those listed was the list itself.
        return {name for name in listed if os.path.lexists(f"/proc/self/fd/{name}")} - _accepted


@contextmanager
def _connection(listener: socket.socket) -> Iterator[socket.socket]:
    """The next connection of the listener; no descriptor of ours as long as it is open."""
    with _accepting:
        connection, _ = listener.accept()
        name = str(connection.fileno())
        _accepted.add(name)
    try:
        yield connection
    finally:
        with _accepting:
            connection.close()
            _accepted.discard(name)


@contextmanager
def _running(run: Callable[[], None], ending: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@contextmanager
def no_descriptors_left(*, but: int = 0) -> Iterator[None]:
    """Within the block descriptors are to be had as many as `but`, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = sorted(set(range(1024)) - set(map(int, descriptors())))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[but], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
