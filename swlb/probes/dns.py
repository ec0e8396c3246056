"""A DNS query over UDP, and the response to it. Spec: RFC 1035 section 4."""

import asyncio
from typing import NamedTuple

from dns.flags import TC
from dns.message import Message, QueryMessage, from_wire, make_query
from dns.rcode import to_text

from swlb.config import Check
from swlb.excerpt import excerpt
from swlb.probes.datagram import answer, asked, unanswered
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, within


class Verdict(NamedTuple):
    """What a message says about a query."""

    ok: bool
    status: str
    text: str


async def dns(check: Check, target: Target, way: Way) -> Outcome:
    """L7OK when the response came within `response` seconds with the `rcode`, and the `answer` where one is named."""
    watch = Stopwatch()
    try:
        verdict = await within(check.response, _exchange(check, target, way))
    except OSError as error:
        return await unanswered(error, target, way, silent="L7TOUT", watch=watch)
    watch.lap("reply")
    took_ms = watch.ms
    detail = f"{target} answered {check.query} {check.record} after {took_ms:.1f} ms {verdict.text}"
    return Outcome(verdict.ok, verdict.status, detail, took_ms, watch.phases)


async def _exchange(check: Check, target: Target, way: Way) -> Verdict:
    query = make_query(check.query, check.record)
    with asked(target, way, query.to_wire()) as sock:
        while True:
            verdict = judge(check, query, await answer(sock))
            if verdict is not None:
                return verdict
            # sock_recv does not suspend while datagrams wait: under a flood nothing else would run.
            await asyncio.sleep(0)


def judge(check: Check, query: QueryMessage, wire: bytes) -> Verdict | None:
    """What a received message says about the query; None when it is about another one.

    A response may be truncated: the check asks for no more than what fits a datagram.
    """
    try:
        response = from_wire(wire)
    except Exception:
        # dnspython says by many kinds of exceptions what is wrong with a message, and anybody may send one.
        return Verdict(False, "L7RSP", f"with no DNS message: {excerpt(wire)}")
    if not query.is_response(response):
        return None
    rcode = to_text(response.rcode())
    truncated = ", truncated" if response.flags & TC else ""
    said = f"with {rcode}{truncated}"
    if check.rcode not in ("any", rcode):
        return Verdict(False, "L7STS", f"{said}, not {check.rcode}")
    records = _answers(response)
    if check.answer is not None and not any(check.answer.is_in(record.encode()) for record in records):
        listed = excerpt(", ".join(records).encode())
        return Verdict(False, "L7STS", f"{said}, without {check.answer} among its answers: {listed}")
    return Verdict(True, "L7OK", said)


def _answers(response: Message) -> list[str]:
    """The data of each record of the answer section, as zone files have it."""
    return [record.to_text() for records in response.answer for record in records]
