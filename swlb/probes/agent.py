"""What a server says of itself: one line over TCP.

Only a line speaks for or against a server. An agent that cannot be reached, is silent or talks nonsense says nothing
of its server: `ok` is None then, whatever the status.
"""

import re
from dataclasses import replace
from functools import partial

from swlb.config import Check
from swlb.excerpt import excerpt
from swlb.probes.agent_words import read_line
from swlb.probes.outcome import Outcome, Target
from swlb.probes.reach import Way
from swlb.probes.talk import Talk, talked

LIMIT = 4096  # bytes of a line
SHOWN = 200  # bytes of it
END_OF_LINE = re.compile(rb"[\r\n]")
VERDICTS: dict[str | None, tuple[bool | None, str]] = {
    None: (None, "L7OK"),
    "up": (True, "L7OK"),
    "down": (False, "L7STS"),
    "fail": (False, "L7STS"),
    "stopped": (False, "L7STS"),
}


async def agent(check: Check, target: Target, way: Way) -> Outcome:
    """L7OK when the agent says up, L7STS when it says down, fail or stopped; `report` is all that it said.

    A line without any of these words is L7OK, and `ok` None.
    """
    outcome = await talked(check, target, way, partial(_listen, check.send), limit=LIMIT)
    if outcome.report is not None:
        return outcome
    return replace(outcome, ok=None, detail=f"{outcome.detail}; that says nothing of the server")


async def _listen(asked: bytes | None, talk: Talk) -> Outcome:
    if asked is not None:
        talk.waiting_for = "take what it is asked"
        await talk.send(asked)
    talk.waiting_for = "send a whole line"
    while (end := END_OF_LINE.search(talk.buffer)) is None:
        await talk.more()
    talk.watch.lap("reply")
    return _judged(talk.buffer[: end.start()], talk)


def _judged(line: bytes, talk: Talk) -> Outcome:
    heard, took_ms = read_line(line), talk.watch.ms
    detail = f"the agent at {talk.target} said {excerpt(line, SHOWN)} after {took_ms:.1f} ms"
    if heard.unknown is not None:
        detail += f"; {excerpt(heard.unknown.encode())} is no word of an agent and changes nothing"
        if not heard.understood:
            return Outcome(None, "L7RSP", detail, took_ms, talk.watch.phases)
    ok, status = VERDICTS[heard.report.health]
    return Outcome(ok, status, detail, took_ms, talk.watch.phases, heard.report)
