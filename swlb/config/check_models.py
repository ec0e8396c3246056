"""A check as values: what is asked of a server, how often, and what means down and up."""

from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator

from swlb.config.check_values import (
    DOMAIN,
    Pattern,
    StatusRange,
    read_command,
    read_headers,
    read_jitter,
    read_path,
    read_pattern,
    read_payload,
    read_size,
    read_status,
)
from swlb.config.forms import Count, Flag, L4Port, ProbeTime
from swlb.config.values import choice, expected, matching, one_of, seconds
from swlb.config.web_values import Authority, host_of, read_ca, read_host_port, read_server_name
from swlb.durations import DAY

GOOD_STATUS = (StatusRange(200, 399),)
RCODES = ("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "any")
RECORDS = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")

ONE_KEY_EACH = "steps with one key each: send, expect or expect_not"

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


    @property
    def keys(self) -> int:
        """How many of them it has: one, which a rule sees to where it is none."""
        return sum(value is not None for value in (self.send, self.expect, self.expect_not))


def _one_key_each(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if any(step.keys > 1 for step in steps):
        raise expected(ONE_KEY_EACH)
    return steps


def _bars_have_an_end(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    looks = [step for step in steps if step.send is None]
    if looks and looks[-1].expect_not is not None:
        raise expected("an expect behind each expect_not, to say how far to look")
    return steps


@dataclass(frozen=True, kw_only=True)
class Check:
    """How a service's servers are probed. Without `port`, the server's own, or the VIP's. Durations in seconds.

    `via` is whom a probe is addressed to: the server, or the VIP and forced to the server. Where it is left out, the
    service says which.
    An agent speaks for its server: one word of it is enough, so `retries` and `rise` are 1 where they are left out.
    `name` is that of a check of the top level, which services share; "" of one that stands in its service.
    """

    name: str = ""
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
    fast_interval: ProbeTime | None = None
    jitter: Annotated[float, PlainValidator(read_jitter)] = 0.0
    hold_down: Annotated[float, seconds(0, DAY)] = 0.0
    # tcp
    half_open: Flag = False
    # http, https
    method: Annotated[str, choice("GET", "HEAD", "OPTIONS", "POST")] = "GET"
    path: Annotated[str, PlainValidator(read_path)] = "/"
    host: Annotated[str, PlainValidator(read_host_port)] | None = None
    headers: Annotated[tuple[tuple[str, str], ...], PlainValidator(read_headers)] = ()
    status: Annotated[tuple[StatusRange, ...], PlainValidator(read_status)] = GOOD_STATUS
    content: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    content_not: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    body_limit: Annotated[int, PlainValidator(read_size)] = 65536
    # https, tls
    verify: Flag = True
    server_name: Annotated[str, PlainValidator(read_server_name)] | None = None
    ca: Annotated[Authority, PlainValidator(read_ca)] | None = None
    expiry_warning: Annotated[float, seconds(0, 3650 * DAY)] = 14 * DAY
    # udp, agent
    send: Annotated[bytes, PlainValidator(read_payload)] | None = None
    expect: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    # dns
    query: Annotated[str, matching(DOMAIN, "a domain name such as example.org, or . for the root")] = "."
    record: Annotated[str, choice(*RECORDS)] = "SOA"
    rcode: Annotated[str, choice(*RCODES)] = "NOERROR"
    answer: Annotated[Pattern, PlainValidator(read_pattern)] | None = None
    # script
    steps: Annotated[
        tuple[Step, ...],
        AfterValidator(_one_key_each),
        AfterValidator(_bars_have_an_end),
        Field(description="a list of {send: ...}, {expect: ...} and {expect_not: ...}"),
    ] = ()
    # exec
    command: Annotated[tuple[str, ...], PlainValidator(read_command)] = ()

    def __post_init__(self) -> None:
        speaks_for_itself = self.type == "agent"
        object.__setattr__(self, "retries", self.retries or (1 if speaks_for_itself else 3))
        object.__setattr__(self, "rise", self.rise or (1 if speaks_for_itself else 2))

    @property
    def certificate_name(self) -> str | None:
        """Whose certificate a server must have; None is that of its own address."""
        return self.server_name or (host_of(self.host) if self.host else None)


CHECK_FORMS = "a mapping of a check such as {type: tcp}, the name of one of `checks`, or {all: [...]} or {any: [...]}"
A_LIST_OF_CHECKS = "a list of checks and names of `checks`"


@dataclass(frozen=True, kw_only=True)
class Several:
    """What stands in the place of a service's check where it has several: under `all` or under `any`."""

    all: Annotated[tuple, Field(description=A_LIST_OF_CHECKS)] = ()
    any: Annotated[tuple, Field(description=A_LIST_OF_CHECKS)] = ()


NEEDS = tuple(field.name for field in fields(Several))


def need_of(check: object) -> str:
    """`all` or `any`, whichever a service's check lists its checks under; "" where it is one check."""
    return next((need for need in NEEDS if isinstance(check, dict) and need in check), "")


def read_need(check: object) -> str:
    """What a service's check asks for: all of its checks, or any."""
    return need_of(check) or "all"


def read_checks(check: object) -> object:
    """The checks of a service's check as a list, whatever its form."""
    if need := need_of(check):
        listed = check[need]  # type: ignore[index]
        if not isinstance(listed, list) or not listed:
            raise expected(f"{A_LIST_OF_CHECKS}, at least one")
        return listed
    if isinstance(check, list):
        raise expected(CHECK_FORMS)
    return [] if check is None else [check]


def read_named(check: object) -> object:
    """A name stands for its check until the draft has put that in its place."""
    return Check(name=check) if isinstance(check, str) else check


def foreign_keys(check: dict) -> list[str]:
    """The keys of a check's mapping that only checks of other types have."""
    kind = check.get("type", "tcp")
    return [key for key in check if key in KEYS_OF_SOME and key not in KEYS_OF_TYPE.get(kind, KEYS_OF_SOME)]


def keys_of_check(check: dict) -> list[str]:
    """The keys that a check's mapping may have, by its type."""
    of_type = KEYS_OF_TYPE.get(check.get("type", "tcp"), KEYS_OF_SOME)
    keys = [key.name for key in fields(Check) if key.name != "name"]
    return [key for key in keys if key in of_type or key not in KEYS_OF_SOME]


def types_with(key: str) -> str:
    """'http or https': the types of checks that have the key."""
    return one_of(kind for kind, keys in KEYS_OF_TYPE.items() if key in keys)
