"""HTTP servers on loopback, honest ones and those that are anything but, and the verdicts that they deserve."""

import asyncio
import socket
import struct
from typing import NamedTuple

from swlb.config.check_values import StatusRange, read_pattern
from tests.raw_server import Talk, saying, silent

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Case(NamedTuple):
    """A server, the keys of the check, and what comes of it: a status, and how its detail begins and ends."""

    name: str
    talk: Talk
    status: str
    detail: tuple[str, str]
    keys: dict[str, object] = {}  # noqa: RUF012 (never changed)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks first, and no HTTP."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await silent(reader, writer)


async def no_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """More and more of a body."""
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte after the other."""
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


def body(data: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(data) + data


def status(code: int) -> bytes:
    return b"HTTP/1.1 %d So\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n" % code


CONTENT = {"content": read_pattern("ok")}
CONTENT_NOT = {"content_not": read_pattern("bad")}
SHORT = {"response": 0.4}
NO_HTTP = "what 127.0.0.1:PORT sent is no HTTP: "

JUDGED = [
    Case("200", saying(status(200), then=silent), "L7OK", ("status 200 after", "ms")),
    Case("a redirect", saying(status(302), then=silent), "L7OK", ("status 302 after", "ms")),
    Case("503", saying(status(503), then=silent), "L7STS", ("status 503, expected 200-399", "")),
    Case("a status that is not in a list", saying(status(201), then=silent), "L7STS",
         ("status 201, expected 200 or 300-302", ""), {"status": (StatusRange(200, 200), StatusRange(300, 302))}),
    Case("the only status that is good", saying(status(418), then=silent), "L7OK", ("status 418 after", "ms"),
         {"status": (StatusRange(418, 418),)}),
    Case("interim answers first", saying(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + OK
         + b"Content-Length: 2\r\n\r\nok", then=silent), "L7OK", ("status 200 after", "ms"), CONTENT),
    Case("another protocol", saying(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         then=silent), "L7STS", ("status 101, expected 200-399", "")),
    Case("a line feed alone", saying(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", then=silent), "L7OK",
         ("status 200 after", "ms"), CONTENT),
    Case("content", saying(body(b"all ok\n"), then=silent), "L7OK", ("status 200 after", "ms"), CONTENT),
    Case("content across pieces", saying(OK + b"\r\nall o", b"k\n"), "L7OK", ("status 200 after", "ms"), CONTENT),
    Case("content across chunks", saying(CHUNKED + b"5\r\nall o\r\n1\r\nk\r\n0\r\n\r\n", then=silent), "L7OK",
         ("status 200 after", "ms"), CONTENT),
    Case("content that is not there", saying(body(b"x" * 120), then=silent), "L7STS",
         ("'ok' not found in the 120 bytes of the body", ""), CONTENT),
    Case("content beyond the limit", saying(body(b"x" * 120 + b"ok"), then=silent), "L7STS",
         ("'ok' not found in the first 121 bytes of the body", ""), {**CONTENT, "body_limit": 121}),
    Case("content that ends at the limit", saying(body(b"x" * 120 + b"ok"), then=silent), "L7OK",
         ("status 200 after", "ms"), {**CONTENT, "body_limit": 122}),
    Case("no body where content is wanted", saying(b"HTTP/1.1 204 No\r\n\r\n", then=silent), "L7STS",
         ("'ok' not found in the 0 bytes of the body", ""), CONTENT),
    Case("content in a body without end", saying(OK + b"\r\nall ok", then=silent), "L7OK",
         ("status 200 after", "ms"), CONTENT),
    Case("an expression in a body without end", saying(OK + b"\r\nall ok", then=silent), "L7OK",
         ("status 200 after", "ms"), {"content": read_pattern("/o[k]/")}),
    Case("an expression that needs the end", saying(OK + b"\r\nall ok", b" or not"), "L7STS",
         ("/ok$/ not found in the 13 bytes of the body", ""), {"content": read_pattern("/ok$/")}),
    Case("content that must not be there", saying(OK + b"\r\ntoo bad", then=silent), "L7STS",
         ("'bad' found in the body", ""), CONTENT_NOT),
    Case("content that is not there, as it must", saying(body(b"ok"), then=silent), "L7OK",
         ("status 200 after", "ms"), {**CONTENT, **CONTENT_NOT}),
    Case("a packed body stays packed", saying(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"), "L7OK",
         ("status 200 after", "ms"), CONTENT),
    Case("more than was announced", saying(OK + b"Content-Length: 2\r\n\r\nokGARBAGE bad\r\n\r\n", then=silent), "L7OK",
         ("status 200 after", "ms"), {**CONTENT, **CONTENT_NOT}),
    Case("a whole body, then a reset", saying(body(b"ok"), then=reset, pause_s=0), "L7OK",
         ("status 200 after", "ms"), {**CONTENT, **CONTENT_NOT}),
    Case("a body that nobody looks at", saying(CHUNKED + b"zz\r\n", then=silent), "L7OK", ("status 200 after", "ms")),
]  # fmt: skip

FAILING = [
    Case("silence", silent, "L7TOUT", ("no response line from 127.0.0.1:PORT within ", "ms"), SHORT),
    Case("half a head, then silence", saying(OK + b"A: b\r\nC", then=silent), "L7TOUT",
         ("no complete headers (24 bytes came) from 127.0.0.1:PORT within ", "ms"), SHORT),
    Case("half a body, then silence", saying(OK + b"Content-Length: 9\r\n\r\nabc", then=silent), "L7TOUT",
         ("no complete body (3 bytes came) from 127.0.0.1:PORT within ", "ms"), {**SHORT, **CONTENT}),
    Case("one byte after the other", saying(then=dripping), "L7RSP", (NO_HTTP + "bad status line, 'x'", "")),
    Case("one byte of a header after the other", saying(OK, then=dripping), "L7TOUT",
         ("no complete headers (", "ms"), SHORT),
    Case("one byte of a body after the other", saying(OK + b"\r\n", then=dripping), "L7TOUT",
         ("no complete body (", "ms"), {**SHORT, **CONTENT}),
    Case("closed without a word", saying(), "L7RSP",
         ("connection closed by 127.0.0.1:PORT after ", "ms, before anything came")),
    Case("reset without a word", saying(then=reset), "L7RSP",
         ("connection reset by 127.0.0.1:PORT after ", "ms, before anything came")),
    Case("closed within the head", saying(OK + b"A: b\r\nC"), "L7RSP",
         ("connection closed by 127.0.0.1:PORT after ", "ms, within its headers, after 24 bytes")),
    Case("reset within the head", saying(OK + b"A: b\r\nC", then=reset), "L7RSP",
         ("connection reset by 127.0.0.1:PORT after ", "ms, within its headers, after 24 bytes")),
    Case("closed within a body", saying(OK + b"Content-Length: 9\r\n\r\nabc"), "L7RSP",
         ("connection closed by 127.0.0.1:PORT after ", "ms, within its body, after 3 bytes"), CONTENT),
    Case("closed within chunks", saying(CHUNKED + b"9\r\nabc"), "L7RSP",
         ("connection closed by 127.0.0.1:PORT after ", "ms, within its body, after 3 bytes"), CONTENT),
    Case("reset within a body", saying(OK + b"Content-Length: 9\r\n\r\nabc", then=reset), "L7RSP",
         ("connection reset by 127.0.0.1:PORT after ", "ms, within its body, after 3 bytes"), CONTENT),
    Case("reset within a body without length", saying(OK + b"\r\nabc", then=reset), "L7RSP",
         ("connection reset by 127.0.0.1:PORT after ", "ms, within its body, after 3 bytes"), CONTENT_NOT),
    Case("another protocol speaks first", banner, "L7RSP", (NO_HTTP + "bad status line, 'SSH-2.0-OpenSSH_9.2'", "")),
    Case("TLS", saying(b"\x15\x03\x01\x00\x02\x02\x46"), "L7RSP", (NO_HTTP, "; it speaks TLS: set type: https")),
    Case("HTTP/2", saying(b"HTTP/2 200\r\n\r\n"), "L7RSP", (NO_HTTP + "bad status line, 'HTTP/2 200'", "")),
    Case("a status that is none", saying(b"HTTP/1.1 2OO OK\r\n\r\n"), "L7RSP", (NO_HTTP + "bad status line", "")),
    Case("a long line", saying(b"HTTP/1.1 200 " + b"x" * 9000, then=silent), "L7RSP", (NO_HTTP + "got more than", "")),
    Case("a long header", saying(OK + b"A: " + b"x" * 9000, then=silent), "L7RSP", (NO_HTTP + "got more than", "")),
    Case("headers without end", saying(OK, *[b"A: b\r\n" * 50] * 4, then=silent), "L7RSP", (NO_HTTP + "too many", "")),
    Case("interim answers without end", saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, then=silent), "L7RSP",
         (NO_HTTP + "nothing but interim answers", "")),
    Case("garbage for a size", saying(CHUNKED, b"zz\r\n", then=silent), "L7RSP",
         (NO_HTTP + "invalid character in chunk size", "within its body, after 0 bytes"), CONTENT),
    Case("garbage for a size at once", saying(CHUNKED + b"zz\r\n", then=silent), "L7RSP",
         (NO_HTTP + "invalid character in chunk size", "within its body, after 0 bytes"), CONTENT),
    Case("garbage for a later size", saying(CHUNKED + b"3\r\nabc\r\n", b"zz\r\n", then=silent), "L7RSP",
         (NO_HTTP + "invalid character in chunk size", "within its body, after 3 bytes"), CONTENT),
    Case("a size beyond all bounds", saying(CHUNKED + b"f" * 20 + b"\r\n", then=silent), "L7RSP",
         (NO_HTTP + "chunk size overflow", ""), CONTENT),
    Case("two lengths", saying(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), "L7RSP", (NO_HTTP, "")),
]  # fmt: skip
