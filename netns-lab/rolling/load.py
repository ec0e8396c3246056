"""Clients that ask all the time. A program; it needs nothing but Python.

    python load.py URL...     four clients for each URL, until SIGTERM; then a line for each request

Two of the four keep their connection as long as the server likes, two have a new one for every request. None of them
asks again when a request fails. A line says when it began (seconds of the monotonic clock), how many milliseconds it
took, and who answered, or "!" and why nobody did.
"""

import http.client
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

CLIENTS_OF_EACH_KIND = 2
PACE_S = 0.02  # from the beginning of one request of a client to the beginning of its next
TIMEOUT_S = 5.0
LONGEST_S = 60.0  # whoever started this may have died


def ask(connection: http.client.HTTPConnection, path: str) -> str:
    """Who answered one request, or "!" and the reason; the connection stays unless the server said close."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"! {str(error) or type(error).__name__}"
    return text if response.status == http.client.OK else f"! {response.status} {response.reason}"


def client(url: str, kept: bool, over: threading.Event, lines: list[str]) -> None:
    """Requests at its pace until it is over, each written down."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
    while not over.is_set():
        began = time.monotonic()
        who = ask(connection, parts.path or "/")
        if not kept:
            connection.close()
        ended = time.monotonic()
        lines.append(f"{began:.6f} {(ended - began) * 1000:.3f} {who}")
        over.wait(max(0.0, PACE_S - (ended - began)))
    connection.close()


def main() -> None:
    """All clients at once; their lines once all have ended."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: over.set())
    lines: list[str] = []
    kinds = [(url, kept) for url in sys.argv[1:] for kept in (True, False) for _ in range(CLIENTS_OF_EACH_KIND)]
    clients = [threading.Thread(target=client, args=(*kind, over, lines)) for kind in kinds]
    for one in clients:
        one.start()
    over.wait(LONGEST_S)
    over.set()
    for one in clients:
        one.join()
    print("\n".join(lines))


if __name__ == "__main__":
    main()
