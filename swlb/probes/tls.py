"""A TLS handshake, and nothing more; and how a probe ends that got no further than that."""

import asyncio
import ssl
from datetime import UTC, datetime
from typing import NamedTuple

from swlb.config import Check
from swlb.probes.certificates import (
    TOLD_BY_CERTIFICATE,
    Certificate,
    context_of,
    expiry_warning,
    name_of,
    read_certificate,
    refusal,
)
from swlb.probes.conversation import Attempt, Security, ending, talking
from swlb.probes.outcome import Outcome, Stopwatch, Target
from swlb.probes.reach import Way, failed, within

# A server that is left without a word logs an error; it has this long to return the goodbye.
GOODBYE_S = 0.2

# How OpenSSL calls what comes when the other end speaks something else.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})


class Meeting(NamedTuple):
    """What a handshake told: the version of TLS, the certificate, and how long it took."""

    version: str
    certificate: Certificate | None
    took_ms: float


async def tls(check: Check, target: Target, way: Way) -> Outcome:
    """L6OK when a TLS handshake was completed within `response` seconds, with a certificate that the check takes."""
    security = security_of(check, target)
    attempt = Attempt(check, target, way, Stopwatch(), security)
    try:
        meeting = await within(check.response, _meet(attempt, check.response))
    except OSError as error:
        return await not_secured(error, attempt)
    warning = warning_of(meeting.certificate, check)
    detail = f"{meeting.version} after {meeting.took_ms:.1f} ms"
    phases = attempt.watch.phases
    return Outcome(True, "L6OK", with_warning(detail, warning), meeting.took_ms, phases, warning=warning)


def security_of(check: Check, target: Target) -> Security:
    """How the check has TLS spoken with the target."""
    return Security(context_of(check.verify, check.ca), name_of(check, target))


def certificate_of(transport: asyncio.Transport) -> Certificate | None:
    """The certificate that the server presented."""
    der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return read_certificate(der) if der else None


def warning_of(certificate: Certificate | None, check: Check) -> str:
    """That the certificate ends soon, '' where it does not."""
    return expiry_warning(certificate, check.expiry_warning, datetime.now(UTC))


def with_warning(detail: str, warning: str) -> str:
    """The detail of a good outcome, and what will go wrong before long."""
    return f"{detail}; {warning}" if warning else detail


async def not_secured(error: OSError, attempt: Attempt) -> Outcome:
    """The Outcome of a probe that ended before its connection, or TLS over it, stood."""
    target, watch = attempt.target, attempt.watch
    if "connect" not in watch.phases:
        return await failed(error, target, attempt.way, silent="L4TOUT", watch=watch)
    took_ms = watch.ms
    if isinstance(error, ssl.SSLCertVerificationError):
        text = await _refusal(error, attempt)
    elif isinstance(error, ssl.SSLError):
        words = (error.reason or "unknown reason").lower().replace("_", " ")
        text = f"{target}: " + ("what came is no TLS" if error.reason in NO_TLS else f"TLS handshake failed: {words}")
    elif how := ending(error):
        text = f"connection {how} by {target} after {took_ms:.1f} ms, within the TLS handshake"
    else:
        return await failed(error, target, attempt.way, silent="L6TOUT", watch=watch, awaited="TLS handshake")
    return Outcome(False, "L6RSP", text, took_ms, watch.phases)


async def _meet(attempt: Attempt, limit: float) -> Meeting:
    parting = _Parting()
    async with talking(attempt, parting) as transport:
        version = transport.get_extra_info("ssl_object").version().replace("v", " ")
        meeting = Meeting(version, certificate_of(transport), attempt.watch.ms)
        transport.close()
        # Less than what is left of the limit: a good answer must not be lost over the goodbye.
        await asyncio.wait({parting.over}, timeout=min(GOODBYE_S, (limit - attempt.watch.ms / 1000) / 2))
    return meeting


async def _refusal(error: ssl.SSLCertVerificationError, attempt: Attempt) -> str:
    certificate = await _presented(attempt) if error.verify_code in TOLD_BY_CERTIFICATE else None
    assert attempt.security is not None, "a certificate was refused"
    return f"{attempt.target}: {refusal(error, certificate, attempt.security.name, datetime.now(UTC))}"


async def _presented(attempt: Attempt) -> Certificate | None:
    """The certificate that was refused, which Python does not tell: asked for once more, in the time that is left."""
    left_s = attempt.check.response - attempt.watch.ms / 1000
    if left_s <= 0:
        return None
    assert attempt.security is not None, "a certificate was refused"
    anyone = Security(context_of(False, None), attempt.security.name)
    try:
        meeting = await within(left_s, _meet(attempt._replace(security=anyone, watch=Stopwatch()), left_s))
    except OSError:
        return None
    return meeting.certificate


class _Parting(asyncio.Protocol):
    """Listens to nothing but the end of the connection."""

    def __init__(self) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)
