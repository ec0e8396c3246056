"""The control socket: HTTP and JSON over a Unix socket, for `swlb show`, `why`, `set`, `flush` and for scripts.

    GET  /show/NOUN                                   a list of objects, one a line
    GET  /show/sessions?client=...&service=...        those that are so: also server, state, protocol, limit;
                                                      the header X-Total-Count says of how many
    GET  /show/decisions?client=...&limit=...         by client, service, server, limit, too, and so is persistence;
                                                      of decisions the last
    GET  /why/SERVICE/SERVER                          an object; "sentence" is for people
    POST /set/server  {"server": "S/S", "order": "drain"}
    POST /flush/TABLE {"segment": ..., "service": ..., "server": ...}
    POST /plan        {"file": "/etc/swlb.yaml"}      what a reload would do: "steps", and "sentence" for people
    POST /reload      {"file": "/etc/swlb.yaml"}      null: the file of the last load

An answer other than 200 is {"error": "a sentence"}: 400 for wrong words and for a configuration that is refused, whose
problems are a line each, 404 for what is not there or cannot be done.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Protocol

from aiohttp import web

from swlb.client import TOTAL
from swlb.errors import SwlbError

_to_json = json.JSONEncoder().encode
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TABLES = ("fdb", "neighbours", "sessions", "persistence")
# What of a list waits to be sent: rows by themselves would be costly, and nobody shall wait long for the first.
PIECE_LEN = 32768
PIECE_S = 0.1
END_S = 1.0  # a list that nobody reads on does not hold up the end


class Controlled(Protocol):
    """What the socket controls."""

    def show(self, noun: str, asked: Mapping[str, str]) -> Iterable[list[dict[str, object]]]: ...

    def total(self, noun: str) -> int | None: ...

    def why(self, server: str) -> dict[str, object]: ...

    def order(self, server: str, order: str) -> str: ...

    def flush(self, what: str, *, segment: str | None, service: str | None, server: str | None) -> int: ...

    async def plan(self, file: str) -> dict[str, object]: ...

    async def reload(self, file: str | None) -> str: ...


@contextmanager
def control_socket(path: Path) -> Iterator[socket.socket]:
    """Within the block the socket at path is ours, and only its owner may connect; afterwards it is gone.

    Raises SwlbError when another swlb answers there, or it cannot be made.
    """
    _make_room(path)
    sock = _bind(path)
    # From here on what is at path is ours to remove.
    try:
        yield sock
    finally:
        sock.close()
        with suppress(FileNotFoundError):
            path.unlink()


@asynccontextmanager
async def serve(app: Controlled, sock: socket.socket) -> AsyncIterator[None]:
    """Within the block the socket answers."""
    site_app = web.Application(middlewares=[_errors])
    site_app.add_routes(_routes(app))
    runner = web.AppRunner(site_app, access_log=None, shutdown_timeout=END_S)
    try:
        await runner.setup()
        await web.SockSite(runner, sock).start()
        yield
    finally:
        await runner.cleanup()


def _routes(app: Controlled) -> list[web.RouteDef]:
    async def show(request: web.Request) -> web.StreamResponse:
        noun = request.match_info["noun"]
        try:
            slices = app.show(noun, dict(request.query))
        except KeyError:
            raise web.HTTPNotFound(text=f"nothing called {noun!r} to show") from None
        return await _streamed(request, slices, app.total(noun))

    async def why(request: web.Request) -> web.Response:
        return web.json_response(app.why(request.match_info["server"]))

    async def set_server(request: web.Request) -> web.Response:
        wanted = await _body(request)
        return web.json_response({"done": app.order(str(wanted.get("server")), str(wanted.get("order")))})

    async def flush(request: web.Request) -> web.Response:
        table, wanted = request.match_info["table"], await _body(request)
        if table not in TABLES:
            raise web.HTTPNotFound(text=f"no table {table!r}; there are {', '.join(TABLES)}")
        named = {key: wanted.get(key) for key in ("segment", "service", "server")}
        chosen = {key: None if name is None else str(name) for key, name in named.items()}
        return web.json_response({"flushed": app.flush(table, **chosen)})

    async def plan(request: web.Request) -> web.Response:
        file = (await _body(request)).get("file")
        if not _is_absolute(file):
            raise ValueError("'file' must be an absolute path")
        return web.json_response(await app.plan(str(file)))

    async def reload(request: web.Request) -> web.Response:
        file = (await _body(request)).get("file")
        if file is not None and not _is_absolute(file):
            raise ValueError("'file' must be an absolute path, or null for the file of the last load")
        return web.json_response({"done": await app.reload(None if file is None else str(file))})

    return [
        web.get("/show/{noun}", show),
        web.get("/why/{server:.*}", why),
        web.post("/set/server", set_server),
        web.post("/flush/{table}", flush),
        web.post("/plan", plan),
        web.post("/reload", reload),
    ]


async def _streamed(
    request: web.Request, slices: Iterable[list[dict[str, object]]], total: int | None
) -> web.StreamResponse:
    """One JSON list, a row a line, sent as it is made. When nobody reads on, nothing more is made."""
    remaining = iter(slices)
    # Made before the answer begins: a failure is still told as one.
    first = next(remaining, [])
    response = web.StreamResponse(headers={} if total is None else {TOTAL: str(total)})
    response.content_type = "application/json"
    await response.prepare(request)
    with suppress(ConnectionResetError):
        await _write_rows(response, request, chain([first], remaining))
    return response


async def _write_rows(
    response: web.StreamResponse, request: web.Request, slices: Iterable[list[dict[str, object]]]
) -> None:
    """The list is written, in pieces. Checks and other requests go on between two slices.

    Commas stand before rows, so that a row's line is whole when the next is not known yet.
    """
    clock = asyncio.get_running_loop().time
    piece, comma, due = bytearray(b"[\n"), b"", clock() + PIECE_S
    for rows in slices:
        for row in rows:
            piece += comma + _to_json(row).encode() + b"\n"
            comma = b","
        if len(piece) >= PIECE_LEN or (piece and clock() >= due):
            await response.write(bytes(piece))
            piece.clear()
            due = clock() + PIECE_S
        await asyncio.sleep(0)
        if request.transport is None:
            return
    await response.write(bytes(piece) + b"]\n")
    await response.write_eof()


def _is_absolute(file: object) -> bool:
    return isinstance(file, str) and Path(file).is_absolute()


async def _body(request: web.Request) -> dict[str, object]:
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return body


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal is JSON with a sentence."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.text}, status=error.status)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    except SwlbError as error:
        return web.json_response({"error": str(error)}, status=400 if error.exit_code == 2 else 404)


def _make_room(path: Path) -> None:
    """A socket that a dead swlb left is removed; one that answers is another swlb's."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError:
            return  # nobody's that we know; why it cannot be ours is said when it is bound
        else:
            raise SwlbError(f"{path}: another swlb answers there; end it, or choose another --control PATH")


def _bind(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
        # At once: a socket that refuses looks like one that a dead swlb left.
        sock.listen()
    except OSError as error:
        sock.close()
        reason = f"{path}: the control socket cannot be made: {error.strerror}"
        advice = "run as root" if isinstance(error, PermissionError) else "choose another --control PATH"
        raise SwlbError(f"{reason}; {advice}") from None
    finally:
        os.umask(before)
    sock.setblocking(False)
    return sock
