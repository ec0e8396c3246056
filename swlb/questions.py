"""What a check asks of a server, in words; of those whose type says it all, nothing."""

from collections.abc import Iterator

from swlb.config import Check
from swlb.durations import duration_text


def question(check: Check) -> str:
    """': GET http://ADDRESS:PORT/healthz, status 200, ...' or ''."""
    words = list(QUESTIONS[check.type](check)) if check.type in QUESTIONS else []
    return f": {', '.join(words)}" if words else ""


def status_text(check: Check) -> str:
    """The statuses that an HTTP check takes: 200, 300-399."""
    ranges = [f"{good.first}-{good.last}" if good.first < good.last else f"{good.first}" for good in check.status]
    return " or ".join(ranges)


def _http(check: Check) -> Iterator[str]:
    yield f"{check.method} {check.type}://ADDRESS:{check.port or 'PORT'}{check.path}"
    if check.host:
        yield f"Host {check.host}"
    if check.headers:
        # Not their values: passwords are among them.
        yield f"with {' and '.join(name for name, _ in check.headers)}"
    yield f"status {status_text(check)}"
    if check.content:
        yield f"body contains {check.content}"
    if check.content_not:
        yield f"body does not contain {check.content_not}"
    if check.type == "https":
        yield from _certificate(check)


def _tls(check: Check) -> Iterator[str]:
    yield "a TLS handshake"
    yield from _certificate(check)


def _certificate(check: Check) -> Iterator[str]:
    if check.verify:
        by = check.ca or "an authority that this host trusts"
        yield f"certificate for {check.certificate_name or 'ADDRESS'} by {by}"
    else:
        yield "any certificate"
    if check.expiry_warning:
        yield f"a warning {duration_text(check.expiry_warning)} before its end"


QUESTIONS = {"http": _http, "https": _http, "tls": _tls}
