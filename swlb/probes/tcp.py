"""A TCP handshake, and nothing more; `half_open`, not even all of that."""

import socket
import struct

from swlb.config import Check
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Option, Way, connected, failed, within

# A socket that prefers to acknowledge with data holds the handshake's last ACK back for 200 ms (TCP_DELACK_MAX of
# net/tcp.h), and closing without lingering sends RST in its place. A raw socket could do the same, but needs its own
# l4_port, its own timers and its own reading of ICMP errors.
HALF_OPEN: tuple[Option, ...] = (
    (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0),
    (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
)


async def tcp(check: Check, target: Target, way: Way) -> Outcome:
    """L4OK when a TCP handshake was completed within `response` seconds; the connection is closed by FIN.

    With `half_open` it is L4OK once SYN-ACK came, which RST answers: the server's program never hears of it, unless
    this process stood still for 200 ms just then.
    """
    watch = Stopwatch()
    try:
        with await within(check.response, connected(target, way, options=HALF_OPEN if check.half_open else ())):
            watch.lap("connect")
    except OSError as error:
        return await failed(error, target, way, silent="L4TOUT", watch=watch)
    took_ms = watch.ms
    what = f"SYN-ACK from {target} after" if check.half_open else f"connected to {target} in"
    return Outcome(True, "L4OK", f"{what} {took_ms:.1f} ms", took_ms, watch.phases)
