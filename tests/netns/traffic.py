"""Real clients and servers for hosts: HTTP, UDP echo, pings. Their sockets are inside, their threads are not."""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import dpkt

from netns.running import Host

PATIENCE_S = 3.0  # how long a client waits for anything

IP_RECVERR, IPV6_RECVERR = 11, 25
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2  # linux/in.h, in6.h
EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err of linux/errqueue.h


def family_of(address: str) -> int:
    return 6 if ":" in address else 4


@dataclass(frozen=True)
class Answer:
    """What a server said of a request: its name, and whom it saw at which of its own ends; `client` is our end."""

    server: str
    peer: tuple[str, int]
    local: tuple[str, int]
    client: tuple[str, int]


@contextmanager
def listening(host: Host, address: str, port: int, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Within the block `serve` is called for each connection, in a thread of its own; afterwards nobody listens."""
    with closing(host.socket(family_of(address), socket.SOCK_STREAM)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=attend, args=[connection], daemon=True).start()

        def attend(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(PATIENCE_S)
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def http_server(host: Host, address: str, port: int = 8080) -> Iterator[None]:
    """Within the block every GET is answered with the host's name and the connection's two ends."""

    def serve(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (more := connection.recv(4096)):
                return
            request += more
        said = {"server": host.name, "peer": connection.getpeername()[:2], "local": connection.getsockname()[:2]}
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    with listening(host, address, port, serve):
        yield


def connect(host: Host, address: str, port: int) -> socket.socket:
    """A connection; ConnectionRefusedError or TimeoutError when there is none."""
    sock = host.socket(family_of(address), socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE_S)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def get(host: Host, address: str, port: int = 80) -> Answer:
    """The answer to one HTTP request on a connection of its own."""
    with connect(host, address, port) as sock:
        client = sock.getsockname()[:2]
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {host.name}\r\n\r\n".encode())
        answer = b""
        while more := sock.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    said = json.loads(body)
    return Answer(said["server"], tuple(said["peer"]), tuple(said["local"]), client)


def shares(host: Host, address: str, n: int, *, port: int = 80) -> Counter[str]:
    """How many of n requests each server answered."""
    return Counter(get(host, address, port).server for _ in range(n))


@contextmanager
def udp_echo(host: Host, address: str, port: int) -> Iterator[None]:
    """Within the block each datagram comes back with the host's name before it."""
    with closing(host.socket(family_of(address), socket.SOCK_DGRAM)) as sock:
        sock.bind((address, port))
        sock.settimeout(0.05)
        ending = threading.Event()

        def answer() -> None:
            while not ending.is_set():
                with suppress(OSError):
                    data, sender = sock.recvfrom(65536)
                    sock.sendto(host.name.encode() + b" " + data, sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def udp_client(host: Host, address: str, port: int) -> socket.socket:
    """A connected UDP socket with a flow of its own."""
    sock = host.socket(family_of(address), socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE_S)
    sock.connect((address, port))
    return sock


def echoed(host: Host, address: str, port: int, data: bytes = b"hello") -> str:
    """The name of the server that answered a datagram of a flow of its own, and answered it right."""
    with udp_client(host, address, port) as sock:
        sock.send(data)
        name, _, back = sock.recv(65536).partition(b" ")
    assert back == data
    return name.decode()


def ping(host: Host, address: str, *, size: int = 56, patience_s: float = 1.0) -> str | None:
    """Who answered an echo request; None when nobody did. A large one is never fragmented on the way."""
    v4 = family_of(address) == 4
    protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
    message = dpkt.icmp.ICMP if v4 else dpkt.icmp6.ICMP6
    request = message(type=8 if v4 else 128, data=message.Echo(id=0x5EED, seq=1, data=bytes(size)))
    with closing(host.socket(family_of(address), socket.SOCK_RAW, protocol)) as sock:
        sock.settimeout(patience_s)
        level, discover = (socket.IPPROTO_IP, IP_MTU_DISCOVER) if v4 else (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
        sock.setsockopt(level, discover, PMTUDISC_DO)
        try:
            sock.sendto(bytes(request), (address, 0))
            while True:
                received, sender = sock.recvfrom(65536)
                reply = dpkt.ip.IP(received).data if v4 else dpkt.icmp6.ICMP6(received)
                if reply.type != (0 if v4 else 129):
                    continue
                if (reply.data.id, bytes(reply.data.data)) == (0x5EED, bytes(size)):
                    return sender[0]
        except TimeoutError:
            return None


@dataclass(frozen=True)
class IcmpError:
    """An ICMP error as the kernel hands it to the socket it is about; `info` is the MTU of one that tells it."""

    type: int
    code: int
    info: int
    sender: str


def probe_with_ttl(host: Host, address: str, port: int, ttl: int) -> IcmpError:
    """The ICMP error that a UDP datagram with that TTL or hop limit provokes."""
    v4 = family_of(address) == 4
    with udp_client(host, address, port) as sock:
        sock.setsockopt(socket.IPPROTO_IP if v4 else socket.IPPROTO_IPV6,
                        socket.IP_TTL if v4 else socket.IPV6_UNICAST_HOPS, ttl)  # fmt: skip
        return icmp_error(sock, b"traceroute")


def icmp_error(sock: socket.socket, data: bytes) -> IcmpError:
    """The ICMP error that a datagram from a connected socket provokes; in IPv4 it has DF."""
    v4 = sock.family == socket.AF_INET
    keep_errors(sock)
    level, discover = (socket.IPPROTO_IP, IP_MTU_DISCOVER) if v4 else (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
    sock.setsockopt(level, discover, PMTUDISC_DO)
    sock.send(data)
    with suppress(OSError):
        sock.recv(100)  # returns with the error as soon as it is queued
    return kept_error(sock)


def keep_errors(sock: socket.socket) -> None:
    """From now on the kernel keeps the ICMP errors that are about the socket."""
    v4 = sock.family == socket.AF_INET
    level, recverr = (socket.IPPROTO_IP, IP_RECVERR) if v4 else (socket.IPPROTO_IPV6, IPV6_RECVERR)
    sock.setsockopt(level, recverr, 1)


def kept_error(sock: socket.socket) -> IcmpError:
    """The first that was kept."""
    v4 = sock.family == socket.AF_INET
    level, recverr = (socket.IPPROTO_IP, IP_RECVERR) if v4 else (socket.IPPROTO_IPV6, IPV6_RECVERR)
    _, control, _, _ = sock.recvmsg(65536, 512, socket.MSG_ERRQUEUE)
    found = next(found for at, kind, found in control if (at, kind) == (level, recverr))
    _, _, kind, code, _, info, _ = EXTENDED_ERROR.unpack_from(found)
    offender = found[EXTENDED_ERROR.size :]
    text = socket.inet_ntop(socket.AF_INET, offender[4:8]) if v4 else socket.inet_ntop(socket.AF_INET6, offender[8:24])
    return IcmpError(kind, code, info, text)
