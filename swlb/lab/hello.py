"""The HTTP that a lab's hosts speak: one small server, one small client. A program; it needs nothing but Python.

    python hello.py serve NAME PORT     answers everybody with its name; prints "listening" when it does
    python hello.py get URL COUNT [S]   one line a request: who answered, or "!" and why nobody did in S seconds
"""

import asyncio
import http.client
import os
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n"


async def serve(name: str, l4_port: int) -> None:
    """Answers with the name, over IPv4 and IPv6, for ever."""
    body = f"{name}\n"
    answer = (HEAD.format(len(body)) + body).encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a health check's probe, which connects and says nothing
        finally:
            writer.close()

    server = await asyncio.start_server(talk, None, l4_port)
    print("listening", flush=True)
    # Whoever waited for that word does not read on.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    await server.serve_forever()


def get(url: str, timeout: float) -> str:
    """Who answered, over a connection of its own; "!" and the reason when nobody did."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"! {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return text if response.status == http.client.OK else f"! {response.status} {response.reason}"


def main() -> None:
    """What the words of the command line ask for."""
    what, of, number, *rest = sys.argv[1:]
    if what == "serve":
        asyncio.run(serve(of, int(number)))
        return
    for _ in range(int(number)):
        print(get(of, float(rest[0]) if rest else TIMEOUT_S), flush=True)


if __name__ == "__main__":
    main()
