"""Persistence, said once more: who comes back to whom, worked out from the whole history each time, slowly.

Where swlb keeps an entry a client and counts who holds it, this keeps every session there ever was, every server that
a client was given, and every moment at which a server ceased to serve, and goes back over all of them.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Past:
    """A session: its client's network, when it began, and when it ended; None: it is open."""

    client: str
    began: float
    ended: float | None = None


class Given(NamedTuple):
    """A client was given a server."""

    client: str
    server: int


class Void(NamedTuple):
    """What clients had been given before, the server or (None) any, is void."""

    server: int | None


@dataclass
class Persistence:
    """All that happened to one service, whose clients are networks of `bits`, remembered for `timeout` seconds."""

    bits: int
    timeout: float
    sessions: list[Past] = field(default_factory=list)
    given: list[Given | Void] = field(default_factory=list)

    def client(self, address: str) -> str:
        """Who the address counts as."""
        return str(ipaddress.ip_network((address, self.bits), strict=False))

    def began(self, address: str, server: int, moment: float) -> Past:
        """A session has begun with the server, which is the client's from now on if it had none."""
        client = self.client(address)
        if self.server_of(client, moment) != server:
            self.given.append(Given(client, server))
        self.sessions.append(Past(client, moment))
        return self.sessions[-1]

    def server_of(self, client: str, moment: float) -> int | None:
        """The server that the client has."""
        if self.is_over(client, moment):
            return None
        server = None
        for given in self.given:
            if isinstance(given, Given) and given.client == client:
                server = given.server
            elif isinstance(given, Void) and given.server in (None, server):
                server = None
        return server

    def is_over(self, client: str, moment: float) -> bool:
        """Whether it has had no session for the timeout, or never one."""
        if not any(past.client == client for past in self.sessions):
            return True
        return self.open(client) == 0 and moment - self.used(client) >= self.timeout - 1e-6

    def open(self, client: str) -> int:
        """How many sessions it has."""
        return sum(past.client == client and past.ended is None for past in self.sessions)

    def used(self, client: str) -> float:
        """When a session of its began or ended last."""
        mine = [past for past in self.sessions if past.client == client]
        return max(max(past.began, past.ended or past.began) for past in mine)

    def known(self, moment: float) -> dict[str, tuple[int, int, float]]:
        """(server, open sessions, seconds since it was used) of every client that has a server."""
        servers = {client: self.server_of(client, moment) for client in {past.client for past in self.sessions}}
        return {client: (server, self.open(client), round(moment - self.used(client), 3))
                for client, server in servers.items() if server is not None}
