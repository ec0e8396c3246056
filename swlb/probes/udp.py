"""One datagram, and the first that answers it.

Silence says little over UDP: with `expect` the server must answer; without, it only must not say that nothing listens
(ICMP port unreachable), and must be there at all (ARP, neighbour discovery).
"""

from dataclasses import replace

from swlb.config import Check
from swlb.excerpt import excerpt
from swlb.probes.datagram import answer, asked, unanswered
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, within


async def udp(check: Check, target: Target, way: Way) -> Outcome:
    """L7OK when the first answer within `response` seconds has what `expect` names, L7RSP when it has not.

    Without `expect`, L4OK for any answer, and for silence, which is known after `response` seconds. Without `send`
    the datagram is an empty one: whatever else we made up could mean something to the server.
    """
    watch = Stopwatch()
    try:
        reply = await within(check.response, _exchange(check.send or b"", target, way))
    except OSError as error:
        silent = "L4OK" if check.expect is None else "L7TOUT"
        outcome = await unanswered(error, target, way, silent=silent, watch=watch)
        return _approved(outcome) if outcome.status == "L4OK" else outcome
    watch.lap("reply")
    took_ms = watch.ms
    text = f"{target} answered after {took_ms:.1f} ms with {excerpt(reply)}"
    if check.expect is None:
        return Outcome(True, "L4OK", text, took_ms, watch.phases)
    if check.expect.is_in(reply):
        return Outcome(True, "L7OK", text, took_ms, watch.phases)
    return Outcome(False, "L7RSP", f"{text}, without {check.expect}", took_ms, watch.phases)


async def _exchange(payload: bytes, target: Target, way: Way) -> bytes:
    with asked(target, way, payload) as sock:
        return await answer(sock)


def _approved(silence: Outcome) -> Outcome:
    return replace(silence, ok=True, detail=f"{silence.detail}, nor any complaint; without `expect` that is enough")
