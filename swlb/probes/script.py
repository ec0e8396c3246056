"""Steps over one TCP connection: what to send, and what must and must not come.

`expect` waits until its pattern is found in what came and was not taken yet. It takes everything up to the end of the
match; what follows is left for the steps behind it. `expect_not` bars its pattern from what the next `expect` takes:
how long to look for something that must not come is thereby said, and does not depend on how the bytes arrive.
"""

from collections.abc import Iterable
from functools import partial

from swlb.config import Check
from swlb.config.check_models import Step
from swlb.config.check_values import Pattern
from swlb.excerpt import excerpt
from swlb.probes.outcome import Outcome, Target
from swlb.probes.reach import Way
from swlb.probes.talk import Talk, talked

LIMIT = 65536  # bytes that came and were not taken


async def script(check: Check, target: Target, way: Way) -> Outcome:
    """L7OK when all steps were done within `response` seconds; L7STS where something came that must not."""
    return await talked(check, target, way, partial(_walk, check.steps), limit=LIMIT)


async def _walk(steps: tuple[Step, ...], talk: Talk) -> Outcome:
    barred: list[tuple[int, Pattern]] = []
    for number, step in enumerate(steps, 1):
        if step.send is not None:
            talk.waiting_for = f"take what step {number} sends"
            await talk.send(step.send)
        elif step.expect_not is not None:
            barred.append((number, step.expect_not))
        elif step.expect is not None:
            talk.waiting_for = f"send {step.expect} (step {number})"
            found = await _take(talk, step.expect, barred)
            if found is not None:
                return Outcome(False, "L7STS", f"{talk.target} sent {found}", talk.watch.ms, talk.watch.phases)
            barred.clear()
        talk.watch.lap(f"step {number}")
    took_ms = talk.watch.ms
    detail = f"{talk.target} did all {len(steps)} steps in {took_ms:.1f} ms"
    return Outcome(True, "L7OK", detail, took_ms, talk.watch.phases)


async def _take(talk: Talk, expect: Pattern, barred: Iterable[tuple[int, Pattern]]) -> str | None:
    """Everything up to the end of the pattern is taken, and None; or what came instead that is barred."""
    while True:
        end = expect.end_in(talk.buffer)
        taken = talk.buffer[:end]
        for number, pattern in barred:
            if pattern.is_in(taken):
                return f"{pattern}, which step {number} bars: {excerpt(taken)}"
        if end is not None:
            talk.buffer = talk.buffer[end:]
            return None
        await talk.more()
