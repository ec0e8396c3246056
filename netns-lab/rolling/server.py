"""A web server that can be started again without anybody noticing. Python and swlb.agent are all it needs.

    python server.py NAME     answers everybody on port 8080 with its name; prints "listening" when it does

Connections are kept for as many requests as a client likes. After SIGTERM each is answered once more, with
"Connection: close", so that the client's next request goes to another server.
"""

import asyncio
import logging
import sys

from swlb.agent import Agent

NAME = f"{sys.argv[1]}\n"
WORK_S = 0.005  # what a request takes
IDLE_S = 5.0  # a client that keeps a connection and says nothing for so long has no use for it
STOP_S = 30.0
GRACE_S = 2.0  # the lab's swlb asks every 200 ms

agent = Agent(port=9999, grace=GRACE_S)


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests of one connection are answered, one after the other."""
    with agent.session():
        try:
            while await is_kept(reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that went, or does not speak HTTP
        finally:
            writer.close()


async def is_kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """A request is answered; whether another may follow on the same connection."""
    async with asyncio.timeout(IDLE_S):
        head = await reader.readuntil(b"\r\n\r\n")
    if head.split()[1] == b"/healthz":
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        return False
    await asyncio.sleep(WORK_S)
    kept = not agent.draining and b"\r\nconnection: close\r\n" not in head.lower()
    connection = "keep-alive" if kept else "close"
    fields = f"Content-Type: text/plain\r\nContent-Length: {len(NAME)}\r\nConnection: {connection}\r\n\r\n"
    writer.write(f"HTTP/1.1 200 OK\r\n{fields}{NAME}".encode())
    await writer.drain()
    return kept


async def main() -> bool:
    """It serves until it is told to end and nobody needs it any more; whether that was so in time."""
    server = await asyncio.start_server(talk, port=8080)
    async with agent:
        print("listening", flush=True)
        drained = await agent.until_drained(timeout=STOP_S)
    server.close()
    return drained


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    drained = asyncio.run(main())
    sys.exit(0 if drained else 1)
