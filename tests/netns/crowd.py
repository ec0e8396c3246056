"""Many connections that stay open: clients that ask, servers that say who they are, all in two threads."""

import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from netns.running import Host
from netns.traffic import connect, family_of

PATIENCE_S = 10.0


@contextmanager
def naming(places: Iterable[tuple[Host, str, int]]) -> Iterator[None]:
    """Within the block whoever sends a line to one of the (host, address, port) is answered "HOST:PORT LINE"."""
    selector = selectors.DefaultSelector()
    ending = threading.Event()
    for host, address, port in places:
        listener = host.socket(family_of(address), socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, (f"{host.name}:{port}", True))

    def serve() -> None:
        while not ending.is_set():
            for key, _ in selector.select(timeout=0.05):
                with suppress(OSError):
                    attend(key)

    def attend(key: selectors.SelectorKey) -> None:
        name, listens = key.data
        sock = key.fileobj
        if listens:
            connection, _ = sock.accept()
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ, (name, False))
            return
        data = b""
        with suppress(ConnectionError):
            data = sock.recv(4096)
        if data:
            sock.send(name.encode() + b" " + data)
        else:
            selector.unregister(sock)
            sock.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        selector.close()


class Crowd:
    """Connections of a client's that stay open."""

    def __init__(self, client: Host, ends: Iterable[tuple[str, int]]) -> None:
        """One for each (VIP, port)."""
        self._sockets = [connect(client, vip, port) for vip, port in ends]
        for sock in self._sockets:
            sock.settimeout(PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._asked = 0

    def __len__(self) -> int:
        return len(self._sockets)

    def who(self) -> list[str]:
        """Which server each connection is with, as it says now. ConnectionError for one that is none any more."""
        self._asked += 1
        line = b"%d\n" % self._asked
        for sock in self._sockets:
            sock.sendall(line)
        return [_named(sock, line) for sock in self._sockets]

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def _named(sock: socket.socket, line: bytes) -> str:
    answer = b""
    while not answer.endswith(line):
        more = sock.recv(4096)
        if not more:
            raise ConnectionResetError("the server has closed")
        answer += more
    name, _, back = answer.partition(b" ")
    assert back == line
    return name.decode()
