"""What a probe of each type asks, and what it takes for a good answer: sentences of `swlb check`."""

from collections.abc import Callable, Iterator

from swlb.config.check_models import Check, Step
from swlb.durations import duration_text
from swlb.excerpt import excerpt

LISTED_STEPS = 8


def asks(check: Check) -> str:
    """What one probe of the check does, in a sentence or two."""
    return SENTENCES[check.type](check)


def hears_silence(check: Check) -> bool:
    """Whether a server that says nothing any more fails its probes."""
    return check.type != "agent" and not (check.type == "udp" and check.expect is None)


def _tcp(check: Check) -> str:
    if check.half_open:
        return (
            "A probe is SYN, and RST in answer to SYN-ACK: half a connection, which the server's program never sees."
        )
    return "A probe is a TCP handshake, ended by FIN: the server's program sees a connection without data."


def _icmp(check: Check) -> str:
    return "A probe is one echo request."


def status_text(check: Check) -> str:
    """The statuses that an HTTP check takes: 200, 300-399."""
    ranges = [f"{good.first}-{good.last}" if good.first < good.last else f"{good.first}" for good in check.status]
    return " or ".join(ranges)


def _http(check: Check) -> str:
    return f"A probe is {', '.join(_exchange(check))}."


def _exchange(check: Check) -> Iterator[str]:
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


def _tls(check: Check) -> str:
    return f"A probe is {', '.join(['a TLS handshake', *_certificate(check)])}."


def _certificate(check: Check) -> Iterator[str]:
    if check.verify:
        by = check.ca or "an authority that this host trusts"
        yield f"certificate for {check.certificate_name or 'ADDRESS'} by {by}"
    else:
        yield "any certificate"
    if check.expiry_warning:
        yield f"a warning {duration_text(check.expiry_warning)} before its end"


def _udp(check: Check) -> str:
    sent = "an empty datagram" if check.send is None else f"the datagram {excerpt(check.send)}"
    if check.expect is not None:
        return f"A probe is {sent}; the first answer must contain {check.expect}, and silence is a failure."
    return (
        f"A probe is {sent}; any answer is good, and so is silence, known after {duration_text(check.response)}. "
        "A failure is ICMP port unreachable, of which a host sends about one a second to all checks together, or that "
        "nobody answers ARP or neighbour discovery, which is asked again after each silence. With expect, silence is a "
        "failure."
    )


def _dns(check: Check) -> str:
    rcode = "any response code" if check.rcode == "any" else check.rcode
    answer = "" if check.answer is None else f", and one of its answers must contain {check.answer}"
    return f"A probe asks for {check.query} {check.record} over UDP; the response must come with {rcode}{answer}."


def _script(check: Check) -> str:
    steps = [_step(step) for step in check.steps[:LISTED_STEPS]]
    steps += [f"{len(check.steps) - LISTED_STEPS} more"] if len(check.steps) > LISTED_STEPS else []
    bars = any(step.expect_not for step in check.steps)
    meaning = " What expect_not names must not come before the end of what the next expect names." if bars else ""
    return f"A probe is a TCP connection and its steps: {', '.join(steps)}.{meaning}"


def _step(step: Step) -> str:
    if step.send is not None:
        return f"send {excerpt(step.send)}"
    return f"expect {step.expect}" if step.expect is not None else f"expect_not {step.expect_not}"


def _exec(check: Check) -> str:
    return (
        f"A probe runs {' '.join(check.command)}, as the user of swlb, without a shell and with SWLB_SERVICE, "
        "SWLB_SERVER, SWLB_ADDRESS and SWLB_PORT in its environment; exit code 0 is a success. It is killed after "
        f"{duration_text(check.response)}, and when it ends so is all that it left running."
    )


def _agent(check: Check) -> str:
    asked = "" if check.send is None else f"sends {excerpt(check.send)} and "
    return (
        f"A probe {asked}reads one line in which the server speaks for itself: up, or down, fail, stopped; ready, "
        "drain or maint; a weight such as 75% or weight:3; maxconn:100. What it does not mention stays as it is, and "
        "so does everything while the agent is silent, cannot be reached or says nothing that is understood."
    )


SENTENCES: dict[str, Callable[[Check], str]] = {
    "tcp": _tcp,
    "icmp": _icmp,
    "http": _http,
    "https": _http,
    "tls": _tls,
    "udp": _udp,
    "dns": _dns,
    "script": _script,
    "exec": _exec,
    "agent": _agent,
}
