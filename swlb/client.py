"""The other end of the control socket: what the command line asks of a running swlb."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from swlb.errors import NotRunning, SwlbError, WrongWords

TIMEOUT_S = 30


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
    connection = _UnixConnection(control)
    try:
        connection.request(method, target, body=None if body is None else json.dumps(body))
        response = connection.getresponse()
        received = response.read()
    except (OSError, http.client.HTTPException) as error:
        advice = "start one with 'swlb run FILE', or name its socket with --control PATH"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NotRunning(f"no swlb answers at {control} ({reason}); {advice}") from None
    finally:
        connection.close()
    if response.status >= 500:
        raise SwlbError(f"the swlb at {control} could not answer ({response.status} {response.reason}); see its log")
    answer = json.loads(received)
    if response.status == 400:
        raise WrongWords(answer["error"])
    if response.status != 200:
        raise SwlbError(answer["error"])
    return answer
