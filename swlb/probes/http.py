"""One HTTP request, and what its answer is worth.

The connection is ours, what comes over it is aiohttp's to read. aiohttp's ClientSession is not used: it asks a second
time where a server closes the connection without an answer, and that cannot be turned off. Nothing here resolves names,
follows redirects, keeps cookies or connections, unpacks a body, or reads more of it than the check asks for.
"""

import ssl
from typing import NamedTuple

from aiohttp import ClientError
from aiohttp.http_exceptions import HttpProcessingError

from swlb import __version__
from swlb.asks import status_text
from swlb.config import Check
from swlb.probes.answer import Answer
from swlb.probes.conversation import Attempt, ending, talking
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, failed, within
from swlb.probes.tls import certificate_of, not_secured, security_of, warning_of, with_warning

DEFAULT_L4_PORTS = {"http": 80, "https": 443}
TLS_ALERT = b"\x15\x03"


class Judgement(NamedTuple):
    """What an answer is worth: nothing to complain about is all well."""

    complaint: str
    warning: str
    took_ms: float


async def http(check: Check, target: Target, way: Way) -> Outcome:
    """L7OK when the answer to one request is as the check wants it, within `response` seconds."""
    security = security_of(check, target) if check.type == "https" else None
    watch = Stopwatch()
    attempt, answer = Attempt(check, target, way, watch, security), Answer(check, watch)
    try:
        complaint, warning, took_ms = await within(check.response, _ask(attempt, answer))
    except (OSError, ClientError, HttpProcessingError) as error:
        return await _unanswered(error, attempt, answer)
    if complaint:
        return Outcome(False, "L7STS", complaint, took_ms, watch.phases, warning=warning)
    detail = with_warning(f"status {answer.status} after {took_ms:.1f} ms", warning)
    return Outcome(True, "L7OK", detail, took_ms, watch.phases, warning=warning)


def request_of(check: Check, target: Target) -> bytes:
    """The request as it is sent. The check's own headers stand instead of swlb's of the same name."""
    is_default = target.l4_port == DEFAULT_L4_PORTS[check.type]
    address = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    headers = {
        "Host": check.host or (address if is_default else str(target)),
        "User-Agent": f"swlb/{__version__}",
        "Accept": "*/*",
        "Connection": "close",
    }
    if check.method == "POST":
        headers["Content-Length"] = "0"
    own = {name.lower() for name, _ in check.headers}
    fields = [*((name, value) for name, value in headers.items() if name.lower() not in own), *check.headers]
    lines = [f"{check.method} {check.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _ask(attempt: Attempt, answer: Answer) -> Judgement:
    check, watch, warning = attempt.check, attempt.watch, ""
    async with talking(attempt, answer) as transport:
        if attempt.security:
            warning = warning_of(certificate_of(transport), check)
        transport.write(request_of(check, attempt.target))
        complaint = _complaint_of_status(await answer.read_head(), check)
        if not complaint and answer.body.is_asked_for:
            await answer.read_body()
            watch.lap("body")
            complaint = answer.body.complaint
        return Judgement(complaint, warning, watch.ms)


def _complaint_of_status(status: int, check: Check) -> str:
    if any(good.first <= status <= good.last for good in check.status):
        return ""
    return f"status {status}, expected {status_text(check)}"


async def _unanswered(error: Exception, attempt: Attempt, answer: Answer) -> Outcome:
    """The Outcome of a probe without an answer that could be judged."""
    target, watch, took_ms = attempt.target, attempt.watch, attempt.watch.ms
    if ("tls" if attempt.security else "connect") not in watch.phases:
        assert isinstance(error, OSError), "aiohttp has read nothing yet"
        return await not_secured(error, attempt)
    if isinstance(error, TimeoutError):
        return await failed(error, target, attempt.way, silent="L7TOUT", watch=watch, awaited=answer.awaited)
    if isinstance(answer.lost_by, ssl.SSLError):
        # Such as that our own certificate is missing: with TLS 1.3 a server says so after the handshake.
        return await not_secured(answer.lost_by, attempt)
    # What aiohttp raises where a body ends too early is less than what it knows.
    reason = answer.exception() or error
    if isinstance(reason, HttpProcessingError):
        text = f"what {target} sent is no HTTP: {_fault(reason, answer)}"
    elif isinstance(reason, OSError) and not ending(reason):
        return await failed(reason, target, attempt.way, silent="L7TOUT", watch=watch)
    else:
        text = f"connection {ending(reason) or 'closed'} by {target} after {took_ms:.1f} ms, {answer.stage}"
    return Outcome(False, "L7RSP", text, took_ms, watch.phases)


def _fault(reason: HttpProcessingError, answer: Answer) -> str:
    """The parser's words without the bytes it points at, and what came instead of a response line."""
    words = reason.message.partition(":")[0].lower() or "it cannot be read"
    if answer.status is not None:
        return f"{words}, {answer.stage}"
    hint = "; it speaks TLS: set type: https" if answer.opening.startswith(TLS_ALERT) else ""
    return f"{words}, {answer.opening.decode('latin-1').strip()!a}{hint}"
