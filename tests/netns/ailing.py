"""Servers that fall ill and recover by order: a program of its own, run in the servers' namespace by sick.py.

`python ailing.py` reads a line of JSON and answers it by one, until its input ends:

| order | is answered by |
|---|---|
| {"serve": [{name, kind, addresses, port, certificates}, ...]} | true, once all of them listen |
| {"set": {NAME: SICKNESS, ...}} | true, once they have it |
| {"asked": NAME} | when it was asked, each time: CLOCK_MONOTONIC, which all processes share |

What a server says depends on its kind and its sickness; the tables below have all of it.
"""

import asyncio
import ctypes
import json
import socket
import ssl
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

# How long until it answers: later than anybody waits; so late that a probe is in flight most of the time.
DELAYS_S = {"slow": 3.0, "late": 0.15}
DRIP_S = 1.0
GIBI, CHUNK = 1 << 30, bytes(1 << 16)
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
RETURN_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)  # struct sock_filter of linux/filter.h: BPF_RET, keep no byte


def page(status: str, body: str = "", *headers: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers))
    return f"{head}\r\n\r\n{body}".encode()


GARBAGE = b"\x00\xfe\r\n\r\n: such a thing was never specified \xff" * 20
PAGES = {
    "healthy": page("200 OK", "all is ok"),
    "slow": page("200 OK", "all is ok"),
    "late": page("200 OK", "all is ok"),
    "expired": page("200 OK", "all is ok"),
    "wrong-status": page("503 Service Unavailable", "all is ok"),
    "wrong-content": page("200 OK", "all is lost"),
    "redirects": page("302 Found", "", "Location: /"),
    "garbage": GARBAGE,
}
DRIPPING = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
HUGE = f"HTTP/1.1 200 OK\r\nContent-Length: {GIBI}\r\n\r\n".encode()
AGENT_WORDS = {"healthy": b"up\n", "slow": b"up\n", "wrong-status": b"down#worn out\n", "garbage": GARBAGE}
PONGS = {"healthy": b"pong", "slow": b"pong", "wrong-content": b"lost"}
GREETING = b"220 ready\r\n"
SCRIPT_REPLIES = {"healthy": b"+PONG\r\n", "slow": b"+PONG\r\n", "wrong-content": b"-ERR\r\n"}
ADDRESSES = {"wrong-content": "192.0.2.99"}  # what the name has by DNS; 192.0.2.1 of whoever is well


class Talk:
    """One connection with a client of a server that has a sickness."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sickness: str) -> None:
        self.reader, self.writer, self.sickness = reader, writer, sickness

    async def say(self, words: bytes) -> None:
        if self.sickness in DELAYS_S:
            await asyncio.sleep(DELAYS_S[self.sickness])
        self.writer.write(words)
        await self.writer.drain()

    async def heed(self) -> None:
        """Until the client has gone."""
        while await self.reader.read(4096):
            pass


async def answer_http(talk: Talk) -> None:
    await talk.reader.readuntil(b"\r\n\r\n")
    if talk.sickness == "drips":
        await talk.say(DRIPPING)
        while True:
            await talk.say(b".")
            await asyncio.sleep(DRIP_S)
    if talk.sickness == "huge":
        await talk.say(HUGE)
        for _ in range(GIBI // len(CHUNK)):
            await talk.say(CHUNK)
    else:
        await talk.say(PAGES[talk.sickness])


async def answer_script(talk: Talk) -> None:
    await talk.say(GREETING)
    await talk.reader.readline()
    await talk.say(SCRIPT_REPLIES[talk.sickness])
    await talk.heed()


async def answer_agent(talk: Talk) -> None:
    await talk.say(AGENT_WORDS[talk.sickness])


KINDS: dict[str, Callable[[Talk], Awaitable[None]]] = {
    "tcp": Talk.heed, "tls": Talk.heed, "http": answer_http, "https": answer_http,
    "script": answer_script, "agent": answer_agent,
}  # fmt: skip
ENCRYPTED = ("https", "tls")


def reply_udp(data: bytes, sickness: str) -> bytes:
    return PONGS[sickness]


def reply_dns(data: bytes, sickness: str) -> bytes:
    if sickness == "garbage":
        return GARBAGE
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    if sickness == "wrong-status":
        reply.set_rcode(dns.rcode.SERVFAIL)
    else:
        address = ADDRESSES.get(sickness, "192.0.2.1")
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", address))
    return reply.to_wire()


DATAGRAM_KINDS: dict[str, Callable[[bytes, str], bytes]] = {"udp": reply_udp, "dns": reply_dns}


class Server:
    """One server at all its addresses. Ill or not, it notes when it was asked."""

    def __init__(self, *, kind: str, addresses: list[str], port: int, certificates: dict[str, str]) -> None:
        self.kind = kind
        self.asked: list[float] = []
        self._places = [(address, port) for address in addresses]
        self._sickness = "refusing"
        self._open: list[Any] = []  # servers and transports, each with its own close()
        self._sockets: list[socket.socket] = []
        self._contexts = {name: context_of(file) for name, file in certificates.items()}

    async def fall(self, sickness: str) -> None:
        """From now on it has the sickness; who asked before is answered as before."""
        if sickness == "refusing":
            self._close()
        elif not self._open:
            for place in self._places:
                await self._listen(place)
        if self.kind in KINDS:
            for sock in self._sockets:
                drop_all(sock, sickness == "silent")
        self._sickness = sickness

    def _close(self) -> None:
        for each in self._open:
            each.close()
        self._open.clear()
        self._sockets.clear()

    async def _listen(self, place: tuple[str, int]) -> None:
        datagrams = self.kind in DATAGRAM_KINDS
        sock = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET,
                             socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)  # fmt: skip
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(place)
        self._sockets.append(sock)
        if datagrams:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(partial(Replier, self), sock=sock)
            self._open.append(transport)
        else:
            self._open.append(await asyncio.start_server(self._attend, sock=sock, backlog=128))

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(time.monotonic())
        talk = Talk(reader, writer, self._sickness)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            await self._converse(talk)
        writer.transport.abort() if self._is_endless(talk) else writer.close()

    def _is_endless(self, talk: Talk) -> bool:
        return talk.sickness in ("huge", "drips")

    async def _converse(self, talk: Talk) -> None:
        if talk.sickness == "closing":
            return
        if talk.sickness == "half-dead":
            await talk.heed()
        elif self.kind in ENCRYPTED and talk.sickness == "garbage":
            await talk.say(GARBAGE)
        else:
            if self.kind in ENCRYPTED:
                await talk.writer.start_tls(self._contexts["expired" if talk.sickness == "expired" else "good"])
            await KINDS[self.kind](talk)

    def reply(self, data: bytes, transport: asyncio.DatagramTransport, sender: Any) -> None:
        """The datagram has its reply, at once or later, or none."""
        self.asked.append(time.monotonic())
        if self._sickness == "silent":
            return
        words = DATAGRAM_KINDS[self.kind](data, self._sickness)
        asyncio.get_running_loop().call_later(DELAYS_S.get(self._sickness, 0.0), transport.sendto, words, sender)


class Replier(asyncio.DatagramProtocol):
    """What comes to one socket goes to the server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.reply(data, self._transport, addr)


def context_of(certificate: str) -> ssl.SSLContext:
    """For a server with the certificate and key of that PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def drop_all(sock: socket.socket, drops: bool) -> None:
    """The kernel throws away what comes for the listening socket, SYNs as well, or no longer."""
    if not drops:
        with suppress(OSError):  # there was no filter
            sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        return
    code = ctypes.create_string_buffer(RETURN_NOTHING)
    program = struct.pack("@HP", 1, ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


async def obey() -> None:
    """Orders are carried out one after the other, until there are no more."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    servers: dict[str, Server] = {}
    while line := await orders.readline():
        ((order, what),) = json.loads(line).items()
        print(json.dumps(await carry_out(order, what, servers)), flush=True)


async def carry_out(order: str, what: Any, servers: dict[str, Server]) -> object:
    if order == "asked":
        return servers[what].asked
    if order == "serve":
        for each in what:
            name = each.pop("name")
            servers[name] = Server(**each)
            await servers[name].fall("healthy")
        return True
    for name, sickness in what.items():
        await servers[name].fall(sickness)
    return True


if __name__ == "__main__":
    asyncio.run(obey())
