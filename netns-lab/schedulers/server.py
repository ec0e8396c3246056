"""A server that says its name to whoever connects, and waits until they go. A program; it needs nothing but Python.

    python server.py NAME PORT     prints "listening" when it does
"""

import asyncio
import sys

BACKLOG = 1024


class Talk(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(sys.argv[1].encode() + b"\n")


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Talk, port=int(sys.argv[2]), backlog=BACKLOG)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
