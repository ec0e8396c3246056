"""What real clients ask of servers: files, names, throughput. Their sockets are inside hosts."""

import hashlib
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset

from netns.running import START_S, STOP_S, Host, inside
from netns.traffic import family_of, listening

PATIENCE_S = 60.0
NAME = "long.example."
TEXTS = 15  # strings of an answer: with all of them it has nearly 4 KiB
TEXT_LEN = 255
EDNS_LEN = 4096
CHUNK_LEN = 1 << 20


@contextmanager
def files(host: Host, address: str, port: int, file: Path) -> Iterator[None]:
    """Within the block GET is answered with the file, and PUT with the SHA-256 of what came."""

    def serve(connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        with connection.makefile("rb", buffering=CHUNK_LEN) as request:
            method, length = request.readline().split()[0], 0
            while (line := request.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if method == b"GET":
                connection.sendall(_head(file.stat().st_size))
                with file.open("rb") as content:
                    connection.sendfile(content)
                return
            answer = digest_of(request, length).encode()
        connection.sendall(_head(len(answer)) + answer)

    with listening(host, address, port, serve):
        yield


def _head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()


def digest_of(stream, length: int | None = None) -> str:
    """The SHA-256 of so many bytes of the stream, or of all."""
    digest, left = hashlib.sha256(), length if length is not None else 1 << 62
    while left and (data := stream.read(min(left, CHUNK_LEN))):
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def texts_of(host: Host) -> list[str]:
    """What a host answers to who asks for NAME."""
    return [f"{host.name} {n} ".ljust(TEXT_LEN, "x") for n in range(TEXTS)]


@contextmanager
def names(host: Host, address: str, port: int) -> Iterator[None]:
    """Within the block NAME has TEXTS strings, in one answer of 4 KiB, which say who the host is."""
    with closing(host.socket(family_of(address), socket.SOCK_DGRAM)) as sock:
        sock.bind((address, port))
        ending = threading.Event()

        def answer() -> None:
            while not ending.is_set():
                if not select.select([sock], [], [], 0.05)[0]:
                    continue
                data, sender = sock.recvfrom(65536)
                reply = dns.message.make_response(dns.message.from_wire(data))
                reply.flags |= dns.flags.AA
                strings = " ".join(f'"{text}"' for text in texts_of(host))
                reply.answer.append(dns.rrset.from_text(NAME, 60, "IN", "TXT", strings))
                reply.use_edns(edns=0, payload=EDNS_LEN)
                sock.sendto(reply.to_wire(max_size=EDNS_LEN), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


@contextmanager
def iperf3_server(host: Host, address: str, port: int) -> Iterator[None]:
    """Within the block an iperf3 serves one client after the other."""
    argv = [*inside(host.netns), "iperf3", "-s", "-B", address, "-p", str(port), "--forceflush"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], START_S)
            assert ready, f"iperf3 on {host.name} says nothing"
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def all_of(stack: list) -> Iterator[None]:
    """Within the block all of these serve."""
    with ExitStack() as stacked:
        for server in stack:
            stacked.enter_context(server)
        yield
