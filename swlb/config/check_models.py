"""A check as values: what is asked of a server, how often, and what means down and up."""

from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator

from swlb.config.check_values import (
    Pattern,
    StatusRange,
    read_command,
    read_headers,
    read_path,
    read_pattern,
    read_payload,
    read_size,
    read_status,
)
from swlb.config.forms import Count, Flag, L4Port, ProbeTime, TextLine
from swlb.config.values import choice, expected, one_of, seconds
from swlb.durations import DAY

GOOD_STATUS = (StatusRange(200, 399),)
RCODES = ("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "any")
RECORDS = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")

HTTP_KEYS = ("method", "path", "host", "headers", "status", "content", "content_not", "body_limit")
TLS_KEYS = ("verify", "server_name", "ca", "expiry_warning")

# Probes through VIPs share so many source ports. Each is kept for its probe, then until the worker has forgotten the
# session: that may be idle for the probe's time and a little more, as it is to be closed, too, and is swept away then.
PROBE_PORTS = 16384
PROBE_GRACE_S = 2.0
PROBE_SWEEP_S = 2.0

# The keys that not every check has, by its type.
KEYS_OF_TYPE: dict[str, tuple[str, ...]] = {
    "tcp": ("port", "half_open"),
    "icmp": (),
    "http": ("port", *HTTP_KEYS),
    "https": ("port", *HTTP_KEYS, *TLS_KEYS),
    "tls": ("port", *TLS_KEYS),
    "udp": ("port", "send", "expect"),
    "dns": ("port", "query", "record", "rcode", "answer"),
    "script": ("port", "steps"),
    "exec": ("command",),
    "agent": ("port", "send"),
}
TYPES = tuple(KEYS_OF_TYPE)
# What a check speaks to a port; the others ask none, or leave that to a program.
PROTOCOL_OF_TYPE = {kind: "udp" if kind in ("udp", "dns") else "tcp" for kind in TYPES if kind not in ("icmp", "exec")}
KEYS_OF_SOME = frozenset(key for keys in KEYS_OF_TYPE.values() for key in keys)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a script: something to send, or something that must, or must not, come."""

    send: Annotated[bytes, PlainValidator(read_payload)] | None = None
    expect: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    expect_not: Annotated[Pattern, PlainValidator(read_pattern)] | None = None


def _one_key_each(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    for step in steps:
        if sum(value is not None for value in (step.send, step.expect, step.expect_not)) != 1:
            raise expected("steps with one key each: send, expect or expect_not")
    return steps


@dataclass(frozen=True, kw_only=True)
class Check:
    """How a service's servers are probed. Without `port`, the server's own, or the VIP's. Durations in seconds.

    `via` is whom a probe is addressed to: the server, or the VIP and forced to the server. Where it is left out, the
    service says which.
    An agent speaks for its server: one word of it is enough, so `retries` and `rise` are 1 where they are left out.
    """

    type: Annotated[str, choice(*TYPES)] = "tcp"
    port: L4Port | None = None
    via: Annotated[str, choice("server", "vip")] = ""
    initial: Annotated[str, choice("up", "down", "checking")] = "checking"
    interval: ProbeTime = 2.0
    response: ProbeTime = 1.0
    retries: Count = 0
    timeout: Annotated[float, seconds(0, DAY)] = 5.0
    dead_interval: ProbeTime = 10.0
    rise: Count = 0
    # tcp
    half_open: Flag = False
    # http, https
    method: Annotated[str, choice("GET", "HEAD", "OPTIONS", "POST")] = "GET"
    path: Annotated[str, PlainValidator(read_path)] = "/"
    host: TextLine | None = None
    headers: Annotated[tuple[tuple[str, str], ...], PlainValidator(read_headers)] = ()
    status: Annotated[tuple[StatusRange, ...], PlainValidator(read_status)] = GOOD_STATUS
    content: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    content_not: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    body_limit: Annotated[int, PlainValidator(read_size)] = 65536
    # https, tls
    verify: Flag = True
    server_name: TextLine | None = None
    ca: TextLine | None = None
    expiry_warning: Annotated[float, seconds(0, 3650 * DAY)] = 14 * DAY
    # udp, agent
    send: Annotated[bytes, PlainValidator(read_payload)] | None = None
    expect: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    # dns
    query: TextLine = "."
    record: Annotated[str, choice(*RECORDS)] = "SOA"
    rcode: Annotated[str, choice(*RCODES)] = "NOERROR"
    answer: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    # script
    steps: Annotated[
        tuple[Step, ...],
        AfterValidator(_one_key_each),
        Field(description="a list of {send: ...}, {expect: ...} and {expect_not: ...}"),
    ] = ()
    # exec
    command: Annotated[tuple[str, ...], PlainValidator(read_command)] = ()

    def __post_init__(self) -> None:
        speaks_for_itself = self.type == "agent"
        object.__setattr__(self, "retries", self.retries or (1 if speaks_for_itself else 3))
        object.__setattr__(self, "rise", self.rise or (1 if speaks_for_itself else 2))


def foreign_keys(check: dict) -> list[str]:
    """The keys of a check's mapping that only checks of other types have."""
    kind = check.get("type", "tcp")
    return [key for key in check if key in KEYS_OF_SOME and key not in KEYS_OF_TYPE.get(kind, KEYS_OF_SOME)]


def keys_of_check(check: dict) -> list[str]:
    """The keys that a check's mapping may have, by its type."""
    of_type = KEYS_OF_TYPE.get(check.get("type", "tcp"), KEYS_OF_SOME)
    return [key.name for key in fields(Check) if key.name in of_type or key.name not in KEYS_OF_SOME]


def types_with(key: str) -> str:
    """'http or https': the types of checks that have the key."""
    return one_of(kind for kind, keys in KEYS_OF_TYPE.items() if key in keys)
