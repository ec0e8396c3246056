"""The single values of a check, read as swlb.config.values reads those of the rest."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from pydantic_core import PydanticCustomError

from swlb.config.values import expected

KIB = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}
SIZE = re.compile(r"([0-9]{1,9}) ?(KiB|MiB)?")
PERCENT = re.compile(r"([0-9]{1,3})%")
STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
# Whoever sends a body needs these, and a probe sends none.
FRAMING = frozenset({"content-length", "transfer-encoding", "expect"})
HEX = "hex:"
MAX_PAYLOAD = 1400
LABEL = r"[A-Za-z0-9_*/-]{1,63}"
DOMAIN = re.compile(rf"\.|(?=.{{1,253}}\.?\Z){LABEL}(?:\.{LABEL})*\.?")  # RFC 1035 section 2.3.4


class StatusRange(NamedTuple):
    """HTTP status codes from first to last, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class Pattern:
    """What must be found in bytes: a string, or a regular expression. As written, in `text`."""

    text: str
    regex: re.Pattern[bytes] | None = None

    def is_in(self, data: bytes | bytearray) -> bool:
        """Whether it is found anywhere in the data."""
        return self.end_in(data) is not None

    def end_in(self, data: bytes | bytearray) -> int | None:
        """Where it ends in the data, the first time that it is found; None when it is not."""
        if self.regex:
            match = self.regex.search(data)
            return match.end() if match else None
        wanted = self.text.encode()
        start = data.find(wanted)
        return start + len(wanted) if start >= 0 else None

    def __str__(self) -> str:
        return self.text if self.regex else repr(self.text)


def read_pattern(value: object) -> Pattern:
    """A string, or a regular expression between slashes."""
    what = "a string, or a regular expression such as /ok|ready/"
    if not isinstance(value, str) or not value:
        raise expected(what)
    if len(value) < 3 or not (value.startswith("/") and value.endswith("/")):
        return Pattern(value)
    try:
        return Pattern(value, re.compile(value[1:-1].encode()))
    except re.error as error:
        raise expected(f"{what}; this one is not valid: {error}") from None


def read_payload(value: object) -> bytes:
    """Bytes to send, from text, or from hexadecimal digits behind `hex:`."""
    what = f'text, or bytes such as "hex:00 ff", at most {MAX_PAYLOAD} bytes'
    if not isinstance(value, str) or not value:
        raise expected(what)
    try:
        payload = bytes.fromhex(value[len(HEX) :]) if value.startswith(HEX) else value.encode()
    except ValueError:
        raise expected(what) from None
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise expected(what)
    return payload


def read_status(value: object) -> tuple[StatusRange, ...]:
    """HTTP status codes, from 200, "200-299", or a list of these."""
    entries = value if isinstance(value, list) else [value]
    matches = [STATUS.fullmatch(str(entry)) if type(entry) in (int, str) else None for entry in entries]
    ranges = [StatusRange(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    if not entries or len(ranges) < len(entries) or any(first > last for first, last in ranges):
        raise expected('a status such as 200, a range such as "200-299", or a list of these')
    return tuple(ranges)


def read_size(value: object) -> int:
    """Bytes, from 4096 or 64KiB or 1MiB."""
    match = SIZE.fullmatch(str(value)) if type(value) in (int, str) else None
    size = int(match[1]) * KIB[match[2] or ""] if match else 0
    if not 1 <= size <= 16 * KIB["MiB"]:
        raise expected("a size from 1 to 16MiB, such as 64KiB")
    return size


def read_headers(value: object) -> tuple[tuple[str, str], ...]:
    """Names and values of HTTP header fields."""
    what = "a mapping of header names to values, such as {X-Probe: swlb}"
    if not isinstance(value, dict):
        raise expected(what)
    for name, text in value.items():
        good = isinstance(name, str) and TOKEN.fullmatch(name) and isinstance(text, str) and text.isprintable()
        if not good:
            raise expected(what)
        if name.lower() in FRAMING:
            raise expected(f"{what}, and no {name}: a probe sends no body")
    return tuple(value.items())


def read_path(value: object) -> str:
    """The target of a request: a path, with a query where it has one."""
    if not isinstance(value, str) or not re.fullmatch(r"/[!-\"$-~]*", value):
        raise expected("a path such as /healthz, without spaces and '#'")
    return value


def read_percent(value: object) -> float:
    """A share from 0 to 1, from text such as 20%."""
    match = PERCENT.fullmatch(value) if isinstance(value, str) else None
    if not match or int(match[1]) > 100:
        raise expected("a percentage from 0% to 100%")
    return int(match[1]) / 100


def read_jitter(value: object) -> float:
    """A share from 0 to a half: more would let probes follow each other at once."""
    with suppress(PydanticCustomError):
        if (share := read_percent(value)) <= 0.5:
            return share
    raise expected("a percentage from 0% to 50%")


def read_command(value: object) -> tuple[str, ...]:
    """A program and its arguments."""
    words = value if isinstance(value, list) else []
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise expected("a list of a program and its arguments, such as [/usr/local/bin/is-ready, --fast]")
    if not words[0].startswith("/"):
        raise expected("a list that begins with the program's full path, such as [/usr/local/bin/is-ready]")
    return tuple(words)
