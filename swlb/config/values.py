"""The single values of a configuration: how each is written, and what is expected where it is not.

A reader takes what YAML gave and returns the value, or raises `expected(...)` with words that complete
"found X; expected ...". None of them looks at any other value: that is what the rules are for.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import NamedTuple

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from swlb.durations import duration_text, parse_duration

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network


class PortRange(NamedTuple):
    """L4 ports from first to last, both included."""

    first: int
    last: int


ANY_PORT = PortRange(1, 65535)

NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}")
DEVICE_MAX_LEN = 15  # IFNAMSIZ of linux/if.h counts the final NUL as well
# dev_valid_name() in net/core/dev.c refuses / : and white space; % would have the kernel choose a number.
DEVICE = re.compile(rf"(?!\.\.?\Z)[!-$&-.0-9;-~]{{1,{DEVICE_MAX_LEN}}}")
NAMESPACE = re.compile(r"(?!\.\.?\Z)[^/\s\0]{1,255}")  # a file below /run/netns
RATE = re.compile(r"([0-9]{1,9})/s")
MIN_MSS = 88  # TCP_MIN_MSS of Linux, which takes no less from a peer
L4_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def expected(what: str) -> PydanticCustomError:
    """The error of a value that is not what it should be."""
    return PydanticCustomError("expected", "expected {what}", {"what": what})


def one_of(words: Iterable[str], *, instead_of: object = None) -> str:
    """'a, b or c', and the nearest of them to what was written."""
    *others, last = words
    listed = f"{', '.join(others)} or {last}" if others else last
    near = difflib.get_close_matches(instead_of, [*others, last], n=1) if isinstance(instead_of, str) else []
    return f"{listed}; did you mean {near[0]}?" if near else listed


def seconds(low: float, high: float) -> PlainValidator:
    """A duration from low to high seconds."""
    what = "a duration such as 500ms, 2s, 1m"

    def read(value: object) -> float:
        try:
            duration = parse_duration(value)
        except ValueError:
            raise expected(what) from None
        if not low <= duration <= high:
            raise expected(f"{what}, from {duration_text(low)} to {duration_text(high)}")
        return duration

    return PlainValidator(read)


def whole(low: int, high: int, what: str = "a whole number") -> PlainValidator:
    """A whole number from low to high. `true` is none, and neither is text."""
    bounds = f"{what} from {low} to {high}" if low < high else str(low)

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise expected(bounds)
        return value

    return PlainValidator(read)


def choice(*words: str) -> PlainValidator:
    """One of the words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise expected(one_of(words, instead_of=value))
        return value

    return PlainValidator(read)


def matching(pattern: re.Pattern[str], what: str) -> PlainValidator:
    """Text that matches the pattern from end to end."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise expected(what)
        return value

    return PlainValidator(read)


def read_rate(value: object) -> int:
    """Events a second, from "1000/s" or 1000."""
    match = RATE.fullmatch(value) if isinstance(value, str) else None
    rate = int(match[1]) if match else value
    if type(rate) is not int or not 1 <= rate <= 1_000_000:
        raise expected("a rate from 1/s to 1000000/s, such as 1000/s")
    return rate


def read_l4_ports(value: object) -> PortRange:
    """The ports of a service, from 80, "8000-8099" or any."""
    if value == "any":
        return ANY_PORT
    match = L4_PORTS.fullmatch(str(value)) if type(value) in (int, str) else None
    if match:
        ports = PortRange(int(match[1]), int(match[2] or match[1]))
        if 1 <= ports.first <= ports.last <= ANY_PORT.last:
            return ports
    raise expected('a port from 1 to 65535, a range such as "8000-8099", or any')


def read_flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise expected("true or false")
    return value


def read_mss(value: object) -> str | int:
    """The largest TCP segment that either side may announce: off, auto or a number of bytes."""
    if isinstance(value, str) and value in ("off", "auto"):
        return value
    if type(value) is not int or not MIN_MSS <= value <= 65535:
        raise expected(f"off, auto or a number of bytes from {MIN_MSS} to 65535")
    return value


def read_masquerade(value: object) -> str | tuple[Address, ...]:
    """off, on, or the addresses that stand for others."""
    if isinstance(value, str) and value in ("off", "on"):
        return value
    if not isinstance(value, list | tuple) or not value:
        raise expected("off, on or a list of addresses")
    return tuple(map(read_host, value))


def read_host(value: object) -> Address:
    """The address of one station."""
    address = _plain_address(value, "an address such as 10.0.2.11 or fd00:2::11")
    _refuse_special(address)
    return address


def read_interface(value: object) -> Interface:
    """An address of a segment's own, with the length of its subnet's prefix."""
    what = "an address with its prefix length, such as 10.0.1.1/24 or fd00:1::1/64"
    text, _, length = value.partition("/") if isinstance(value, str) else ("", "", "")
    address = _plain_address(text, what)
    if not re.fullmatch("[0-9]{1,3}", length) or not 1 <= int(length) <= address.max_prefixlen:
        raise expected(what)
    _refuse_special(address)
    interface = ip_interface(f"{address}/{length}")
    if word := end_of_subnet(address, interface.network):
        raise expected(f"the address of one station; {address} is the {word} address of {interface.network}")
    return interface


def read_network(value: object) -> Network:
    """The prefix a route leads to; `default` is that of IPv4 here."""
    if value == "default":
        return IPv4Network("0.0.0.0/0")
    what = "a prefix such as 10.0.9.0/24 or fd00:9::/64, or default"
    text, _, length = value.partition("/") if isinstance(value, str) else ("", "", "")
    address = _plain_address(text, what)
    with suppress(ValueError):
        network = ip_network(f"{address}/{length or address.max_prefixlen}", strict=False)
        if network.network_address == address:
            return network
        what = f"a prefix without bits behind its length: {network}"
    raise expected(what)


def end_of_subnet(address: Address, network: Network) -> str:
    """'network' or 'broadcast' where the address is the subnet's own; '' where it can be a station's.

    Spec: RFC 3021 (both ends of a /31 are stations), RFC 6164 (the same for /127), RFC 4291 section 2.6.1
    (the first address of an IPv6 subnet belongs to all its routers).
    """
    if network.prefixlen >= network.max_prefixlen - 1:
        return ""
    if address == network.network_address:
        return "network"
    return "broadcast" if network.version == 4 and address == network.broadcast_address else ""


def as_list(value: object) -> object:
    """One value where a list of them may stand too."""
    return value if isinstance(value, list | tuple | dict) else [value]


def nonempty(what: str) -> Callable[[object], object]:
    """Refuses a list or mapping with nothing in it."""

    def read(value: object) -> object:
        if isinstance(value, list | tuple | dict) and not value:
            raise expected(what)
        return value

    return read


def _plain_address(value: object, what: str) -> Address:
    """An address without a zone, in the notation of its own family."""
    try:
        address = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or (isinstance(address, IPv6Address) and address.scope_id):
        raise expected(what)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise expected(f"an IPv4 address in its own notation: {address.ipv4_mapped}")
    return address


def _refuse_special(address: Address) -> None:
    """Raises where the address cannot be that of one station."""
    words = [word for word in ("multicast", "loopback", "unspecified") if getattr(address, f"is_{word}")]
    if address == IPv4Address("255.255.255.255"):
        words = ["the broadcast address"]
    if words:
        raise expected(f"the address of one station; {address} is {words[0]}")
