"""What comes over one HTTP connection: read by aiohttp, and counted here, so that a probe can say how far it came."""

import asyncio
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from swlb.config import Check
from swlb.probes.body import Body
from swlb.probes.outcome import Stopwatch

HEAD_END = b"\r\n\r\n"
OPENING_LEN = 40  # bytes of an answer that are shown when it is none
MOST_INTERIM = 8  # answers such as "103 Early Hints" before the one that counts


class Answer(ResponseHandler):
    """The answer to one request. `status` is None until its head is complete; `lost_by` is how the connection ended.

    Lines, headers and their number are as long and as many as aiohttp allows: 8190 bytes, 128.
    """

    def __init__(self, check: Check, watch: Stopwatch) -> None:
        super().__init__(asyncio.get_running_loop())
        self.status: int | None = None
        self.body = Body(check)
        self.opening = b""
        self.lost_by: BaseException | None = None
        self._watch = watch
        self._content: StreamReader | None = None
        self._received_len = 0
        self._interim_left = MOST_INTERIM
        self._is_cut_off = False
        self.set_response_params(skip_payload=check.method == "HEAD", read_until_eof=True, auto_decompress=False)

    async def read_head(self) -> int:
        """The status, once it has come."""
        await self.read()
        assert self.status is not None, "an answer was read"
        return self.status

    async def read_body(self) -> None:
        """The body has come as far as it matters."""
        assert self._content is not None, "the head has come"
        while chunk := await self._content.readany():
            if self.body.add(chunk):
                return
        if self._is_cut_off:
            raise self.exception() or ConnectionError

    @property
    def awaited(self) -> str:
        """What has not come yet."""
        if not self._received_len:
            return "response line"
        if self.status is None:
            return f"complete headers ({self._received_len} bytes came)"
        return f"complete body ({len(self.body.kept)} bytes came)"

    @property
    def stage(self) -> str:
        """How far it has come."""
        if not self._received_len:
            return "before anything came"
        if self.status is None:
            return f"within its headers, after {self._received_len} bytes"
        return f"within its body, after {len(self.body.kept)} bytes"

    def data_received(self, data: bytes) -> None:
        """Bytes have come; none, when reading goes on after a pause."""
        if data and not self._received_len:
            self._watch.lap("first_byte")
        self.opening += data[: OPENING_LEN - len(self.opening)]
        self._received_len += len(data)
        # By itself the parser forgets an answer when what follows it in the same piece is garbage.
        while self.status is None and HEAD_END in data:
            head, end, data = data.partition(HEAD_END)
            super().data_received(head + end)
            if not data or self.exception() is not None:
                return
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A head is complete: the one that counts, or an interim one."""
        message, content = data
        if 100 <= message.code < 200 and message.code != 101:
            self._interim_left -= 1
            if self._interim_left < 0:
                self.set_exception(HttpProcessingError(message="Nothing but interim answers"))
        elif self.status is None:
            self.status, self._content = message.code, content
            super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        """Nothing more can be read. By itself aiohttp lets whoever waits for the body wait on."""
        super().set_exception(exc, *args, **kwargs)
        if self._content is not None and not self._content.is_eof():
            self._content.set_exception(exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone. By itself aiohttp takes a reset for the end of a body without a length."""
        is_whole = self._content is not None and self._content.is_eof()
        self._is_cut_off = exc is not None and not is_whole
        self.lost_by = exc
        super().connection_lost(exc)
