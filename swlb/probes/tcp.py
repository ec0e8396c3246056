"""A TCP handshake, and nothing more."""

from swlb.config import Check
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, connected, failed, within


async def tcp(check: Check, target: Target, way: Way) -> Outcome:
    """L4OK when a TCP handshake was completed within `response` seconds; the connection is closed by FIN."""
    watch = Stopwatch()
    try:
        with await within(check.response, connected(target, way)):
            watch.lap("connect")
    except OSError as error:
        return await failed(error, target, way, silent="L4TOUT", watch=watch)
    took_ms = watch.ms
    return Outcome(True, "L4OK", f"connected to {target} in {took_ms:.1f} ms", took_ms, watch.phases)
