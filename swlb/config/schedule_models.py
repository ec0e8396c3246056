"""Who of a service's servers gets a new session, as values: scheduler, hash key, persistence, limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator

from swlb.config.values import choice, expected, one_of, seconds, whole
from swlb.durations import DAY

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "hash", "maglev", "p2c", "fo", "overflow")
OWN_PREFIX = "python:"  # of a scheduler that somebody has written: python:module.Class
OWN_SCHEDULER = re.compile(r"python:[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
HASH_KEYS = {  # what is hashed, in words
    "source": "the client's address",
    "source_port": "the client's address and port",
    "destination_port": "the client's address and the port it calls",
    "five_tuple": "both addresses, both ports and the protocol",
}
# What IPVS, HAProxy and nginx call them, where that is not the same word.
CALLED_ELSEWHERE = {
    "roundrobin": "wrr", "round_robin": "wrr", "static-rr": "wrr", "leastconn": "wlc", "least_conn": "wlc",
    "source": "hash", "ip_hash": "hash", "sh": "hash", "mh": "maglev", "random": "p2c", "ovf": "overflow",
}  # fmt: skip
DEFAULT_HASH_KEY = {"hash": "source", "maglev": "five_tuple"}
LIMIT_MAX = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Persistence:
    """A client comes back to the server it had: clients are one whose addresses agree in the first `mask` bits.

    `mask6` is the same for IPv6. A client that has had no session for `timeout` seconds is forgotten.
    """

    by: Annotated[str, choice("source")] = "source"
    mask: Annotated[int, whole(0, 32)] = 32
    mask6: Annotated[int, whole(0, 128)] = 128
    timeout: Annotated[float, seconds(1, DAY)] = 300.0


@dataclass(frozen=True)
class Limit:
    """How many sessions a server may have open: at `upper` it takes no more, until it has fewer than `lower`."""

    upper: int
    lower: int


def read_scheduler(value: object) -> str:
    """A scheduler by its name."""
    if isinstance(value, str) and (value in SCHEDULERS or OWN_SCHEDULER.fullmatch(value)):
        return value
    meant = CALLED_ELSEWHERE.get(value, value) if isinstance(value, str) else None
    raise expected(one_of((*SCHEDULERS, f"{OWN_PREFIX}module.Class"), instead_of=meant))


def read_limit(value: object) -> Limit:
    """A number of sessions, or the two numbers between which the server rests."""
    what = f"a whole number from 1 to {LIMIT_MAX}, or {{upper: 100, lower: 75}}"
    if isinstance(value, Mapping) and value.keys() == {"upper", "lower"}:
        upper, lower = value["upper"], value["lower"]
    else:
        upper = lower = value
    if type(upper) is not int or type(lower) is not int or not 1 <= lower <= upper <= LIMIT_MAX:
        raise expected(f"{what} with lower not above upper" if isinstance(value, Mapping) else what)
    return Limit(upper, lower)


MaxConnections = Annotated[Limit, PlainValidator(read_limit)]
Scheduler = Annotated[str, PlainValidator(read_scheduler)]
