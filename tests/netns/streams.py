"""Large transfers that can be told from every other: a stream of numbered blocks, compared as it arrives."""

import random
import socket
import threading
import time
from dataclasses import dataclass

BLOCK_LEN = 1 << 20
SEED = 0x5EED
BODY = random.Random(SEED).randbytes(BLOCK_LEN - 8)
PATIENCE_S = 20.0


def block(number: int) -> bytes:
    """The block of that number: no two are equal, and none is what another becomes when bytes are lost."""
    return number.to_bytes(8) + BODY


def send_stream(sock: socket.socket, n_blocks: int) -> None:
    """All blocks are sent, and the sending side is closed."""
    for number in range(n_blocks):
        sock.sendall(block(number))
    sock.shutdown(socket.SHUT_WR)


def receive_stream(sock: socket.socket) -> int:
    """How many blocks came before the end; AssertionError with the place of the first that is not as it was sent."""
    number, buffer = 0, bytearray(BLOCK_LEN)
    while n := sock.recv_into(buffer, BLOCK_LEN, socket.MSG_WAITALL):
        view = memoryview(buffer)
        while n < BLOCK_LEN and (more := sock.recv_into(view[n:], BLOCK_LEN - n, socket.MSG_WAITALL)):
            n += more
        view.release()
        assert buffer[:n] == block(number), f"seed {SEED:#x}: block {number} of {n} bytes is not as it was sent"
        number += 1
    return number


@dataclass
class Received:
    """What one end of a transfer received: blocks, or what went wrong."""

    blocks: int | None = None
    error: BaseException | None = None


def transfer(sender: socket.socket, receiver: socket.socket, n_blocks: int) -> float:
    """Seconds that n_blocks took from sender to receiver, all equal. Both sockets are then closed."""
    received = Received()

    def receive() -> None:
        try:
            received.blocks = receive_stream(receiver)
        except BaseException as error:
            received.error = error
        finally:
            # The sender must not wait for someone who has given up.
            receiver.close()

    began = time.monotonic()
    thread = threading.Thread(target=receive)
    for sock in (sender, receiver):
        sock.settimeout(PATIENCE_S)
    thread.start()
    with sender:
        send_stream(sender, n_blocks)
        thread.join()
    assert received == Received(blocks=n_blocks)
    return time.monotonic() - began
