"""Clients that open connections, and who served them. A program; it needs nothing but Python.

    python connect.py VIP PORT COUNT OPEN NETWORK ADDRESSES

COUNT connections, one after the other, from as many addresses of the network in turn; OPEN of them stay open, and the
oldest is closed for each that is opened. Prints a line for each server: its name and how many it had; "! 1" after an
error.
"""

import ipaddress
import socket
import sys
from collections import Counter, deque

TIMEOUT_S = 5.0
# linux/in.h: the port is chosen when the other end is known, so that one address has more than 28,000 connections
IP_BIND_ADDRESS_NO_PORT = 24


def connection(source: str, vip: str, port: int) -> socket.socket:
    """A connection from an address, open."""
    sock = socket.socket()
    sock.settimeout(TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))
    sock.connect((vip, port))
    return sock


def main() -> Counter[str]:
    vip, port, count, at_once, network, addresses = sys.argv[1:]
    sources = [str(address) for address in list(ipaddress.ip_network(network).hosts())[: int(addresses)]]
    served: Counter[str] = Counter()
    opened: deque[socket.socket] = deque()
    for number in range(int(count)):
        try:
            sock = connection(sources[number % len(sources)], vip, int(port))
            served[sock.recv(64).decode().strip() or "!"] += 1
        except OSError as error:
            print(f"connection {number} of {count}: {error}", file=sys.stderr)
            served["!"] += 1
            break
        opened.append(sock)
        if len(opened) >= int(at_once):
            opened.popleft().close()
    for sock in opened:
        sock.close()
    return served


if __name__ == "__main__":
    for name, n in sorted(main().items()):
        print(name, n)
