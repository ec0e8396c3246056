"""Users of the soak, each a thread: what they did, and what failed them at a time when nothing may."""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from netns.modes import BULK, ECHO, WEB
from netns.running import Host
from netns.traffic import family_of

PATIENCE_S = 15.0  # TCP sends a lost segment again, later each time
TRIES, TRY_S = 8, 1.0  # of a datagram or a ping, which nobody sends again for us
BULK_LEN = 1 << 20
FRAGMENTED_LEN = 4000
PAUSE_S = 0.02


@dataclass
class Book:
    """What was done and what failed; within `excused` times failures are counted apart."""

    done: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _windows: list[list[float]] = field(default_factory=list)

    @contextmanager
    def excusing(self, after_s: float) -> Iterator[None]:
        """What is under way within the block, and until so long after it, may fail."""
        window = [time.monotonic(), float("inf")]
        self._windows.append(window)
        try:
            yield
        finally:
            window[1] = time.monotonic() + after_s

    def note(self, kind: str, began: float, error: str | None) -> None:
        """One more of a kind was done or, with an error, has failed."""
        now = time.monotonic()
        with self._lock:
            if error is None:
                self.done[kind] += 1
            elif any(begin <= now and began <= end for begin, end in self._windows):
                self.excused[kind] += 1
            else:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {kind}: {error}")


Task = Callable[[Host, str, random.Random], None]


def dial(host: Host, vip: str, port: int) -> socket.socket:
    sock = host.socket(family_of(vip), socket.SOCK_STREAM)
    sock.settimeout(PATIENCE_S)
    try:
        sock.connect((vip, port))
    except OSError:
        sock.close()
        raise
    return sock


def request(host: Host, vip: str, chance: random.Random) -> None:
    """A page on a connection of its own."""
    with dial(host, vip, WEB) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: soak\r\n\r\n")
        page = b""
        while more := sock.recv(4096):
            page += more
    if b"200 OK" not in page or b'"server"' not in page:
        raise OSError(f"the page was {page[:60]!r}")


def transfer(host: Host, vip: str, chance: random.Random) -> None:
    """A megabyte there and back, compared."""
    body = chance.randbytes(BULK_LEN)
    with dial(host, vip, BULK) as sock:
        sender = threading.Thread(target=_send, args=[sock, body])
        sender.start()
        got = bytearray()
        while len(got) < BULK_LEN and (more := sock.recv(1 << 16)):
            got += more
        sender.join()
    if got != body:
        raise OSError(f"{len(got)} of {BULK_LEN} bytes came back, not those that were sent")


def _send(sock: socket.socket, body: bytes) -> None:
    try:
        sock.sendall(body)
    except OSError:
        return  # whoever receives notices


def kept(host: Host, vip: str, chance: random.Random) -> None:
    """A connection that is kept for a while and used now and then."""
    with dial(host, vip, BULK) as sock:
        for _ in range(20):
            word = chance.randbytes(chance.randrange(1, 2000))
            sock.sendall(word)
            back = b""
            while len(back) < len(word) and (more := sock.recv(4096)):
                back += more
            if back != word:
                raise OSError("the echo is not what was said")
            time.sleep(0.1)


def datagram(host: Host, vip: str, chance: random.Random) -> None:
    """A datagram, small or in fragments, that is echoed; sent again when it is not."""
    data = chance.randbytes(chance.choice([20, 500, FRAGMENTED_LEN]))
    with host.socket(family_of(vip), socket.SOCK_DGRAM) as sock:
        sock.settimeout(TRY_S)
        sock.connect((vip, ECHO))
        error: Exception | None = None
        for _ in range(TRIES):
            try:
                sock.send(data)
                # The echo says before the data who it is.
                if sock.recv(65536).endswith(data):
                    return
            except OSError as failed:
                error = failed
                time.sleep(0.05)
    raise OSError(f"{len(data)} bytes were not echoed: {error}")


def ping(host: Host, vip: str, chance: random.Random) -> None:
    done = host.run("ping", "-c", "1", "-W", str(int(TRY_S)), "-w", str(int(TRIES * TRY_S)), "-s",
                    str(chance.choice([56, 1400])), vip)
    time.sleep(0.2)
    if done.returncode:
        raise OSError(done.stdout.strip().splitlines()[-1])


TASKS: Mapping[str, Task] = {"request": request, "transfer": transfer, "kept": kept, "datagram": datagram, "ping": ping}


@contextmanager
def users(book: Book, host: Host, vips: Mapping[int, str], seed: int) -> Iterator[None]:
    """Within the block one user of every kind and family goes on and on; each ends what it has begun."""

    def use(kind: str, family: int) -> None:
        chance = random.Random(f"{seed} {kind} {family}")
        while not book.ending.is_set():
            began = time.monotonic()
            try:
                TASKS[kind](host, vips[family], chance)
            except OSError as error:
                book.note(kind, began, f"IPv{family}: {error}")
            else:
                book.note(kind, began, None)
            time.sleep(PAUSE_S)

    threads = [threading.Thread(target=use, args=[kind, family]) for kind in TASKS for family in (4, 6)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        book.ending.set()
        for thread in threads:
            thread.join()
