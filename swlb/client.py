"""The other end of the control socket: what the command line asks of a running swlb."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swlb.errors import NotRunning, SwlbError, WrongWords

TIMEOUT_S = 30
PIECE_LEN = 65536
TOTAL = "X-Total-Count"  # the header of a list that says of how many rows it has some


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__("swlb", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def ask(control: Path, method: str, target: str, body: dict[str, Any] | None = None) -> Any:
    """The answer of the swlb at the socket. NotRunning, WrongWords or SwlbError say why there is none."""
    with _answer(control, method, target, body) as response:
        return json.loads(_read_all(control, response))


@dataclass(frozen=True)
class Told:
    """A list while it is told: its text, in pieces as they come; and of how many rows it has some, if that is known."""

    pieces: Iterator[bytes]
    total: int | None

    def rows(self) -> Iterator[list[dict[str, Any]]]:
        """The objects of the list, in lists as they come: swlb writes one a line."""
        rest = b""
        for piece in self.pieces:
            *lines, rest = (rest + piece).split(b"\n")
            yield [json.loads(line.removeprefix(b",")) for line in lines if line not in (b"[", b"]")]


@contextmanager
def listen(control: Path, target: str) -> Iterator[Told]:
    """Within the block a list is told, of which nothing is kept. Raises as `ask`, also when it ends too soon."""
    with _answer(control, "GET", target, None) as response:
        total = response.getheader(TOTAL)
        yield Told(_pieces(control, response), None if total is None else int(total))


def _pieces(control: Path, response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := response.read1(PIECE_LEN):
            yield piece
    except (OSError, http.client.HTTPException):
        raise SwlbError(f"the swlb at {control} ended before its list did") from None


@contextmanager
def _answer(
    control: Path, method: str, target: str, body: dict[str, Any] | None
) -> Iterator[http.client.HTTPResponse]:
    """Within the block the answer can be read; it is no refusal."""
    connection = _UnixConnection(control)
    try:
        try:
            connection.request(method, target, body=None if body is None else json.dumps(body))
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _failed(control, error) from None
        if response.status >= 500:
            raise SwlbError(
                f"the swlb at {control} could not answer ({response.status} {response.reason}); see its log"
            )
        if response.status != 200:
            refusal = json.loads(_read_all(control, response))["error"]
            raise WrongWords(refusal) if response.status == 400 else SwlbError(refusal)
        yield response
    finally:
        connection.close()


def _read_all(control: Path, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _failed(control, error) from None


def _failed(control: Path, error: Exception) -> SwlbError:
    """What the user is told: one that does not answer in time runs all the same."""
    if isinstance(error, TimeoutError):
        return SwlbError(f"the swlb at {control} has not answered within {TIMEOUT_S} s; what was asked may yet be done")
    advice = "start one with 'swlb run FILE', or name its socket with --control PATH"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return NotRunning(f"no swlb answers at {control} ({reason}); {advice}")
