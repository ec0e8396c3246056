"""Which sessions are wanted: as `swlb show sessions` is asked, and as the workers understand it."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from swlb._worker import session_states
from swlb.addresses import Network, packed, prefix_of_128
from swlb.build import Built
from swlb.build_service import PROTOCOLS as BALANCED
from swlb.errors import look_up

PROTOCOLS = BALANCED | {"icmp": 1}
KEYS = ("client", "service", "server", "state", "protocol", "limit")
OF_OTHERS = ("client", "service", "server", "limit")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """What all wanted sessions have, and how many are wanted at most; None is anything.

    A server is SERVICE/SERVER. What hosts of a segment that masquerades begin is of no service and no server.
    """

    client: Network | None = None
    service: str | None = None
    server: str | None = None
    state: str | None = None
    protocol: str | None = None
    limit: int | None = None

    def in_indices(self, built: Built) -> dict[str, Any]:
        """The same as keywords of Worker.session_slices; SwlbError for a service or server that is not there."""
        client = self.client and (packed(self.client.network_address), prefix_of_128(self.client))
        return {
            "client": client,
            "service": index_of("service", self.service, built.services),
            "server": index_of("server", self.server, {"/".join(key): index for key, index in built.servers.items()}),
            "state": self.state,
            "protocol": self.protocol and PROTOCOLS[self.protocol],
        }

    def cut(self, slices: Iterator[list[Row]]) -> Iterator[list[Row]]:
        """As many rows as are wanted; nothing is looked at after them."""
        left = self.limit
        for rows in slices:
            yield rows[:left]
            if left is not None:
                left -= len(rows[:left])
                if left == 0:
                    return


def read_filter(asked: Mapping[str, str]) -> SessionFilter:
    """The filter of such words; ValueError says what is wrong with them."""
    state, protocol, limit = asked.get("state"), asked.get("protocol"), asked.get("limit")
    if unknown := asked.keys() - set(KEYS):
        raise ValueError(f"sessions are not chosen by {', '.join(sorted(unknown))}, but by {', '.join(KEYS)}")
    return SessionFilter(
        client=None if (client := asked.get("client")) is None else _read_client(client),
        service=asked.get("service"),
        server=asked.get("server"),
        state=state and _one_of("state", state.upper().replace("-", "_"), session_states()),
        protocol=protocol and _one_of("protocol", protocol.lower(), list(PROTOCOLS)),
        limit=None if limit is None else _read_limit(limit),
    )


def index_of(what: str, name: str | None, indices: Mapping[str, int]) -> int | None:
    """The index of that name; None of none. SwlbError says which names there are."""
    return None if name is None else look_up(what, name, indices)


def _read_client(text: str) -> Network:
    try:
        return ipaddress.ip_interface(text).network
    except ValueError:
        raise ValueError(f"client {text!r}: expected an address or a prefix, as 10.0.1.10 or fd00:1::/64") from None


def _one_of(what: str, word: str, words: list[str]) -> str:
    if word not in words:
        raise ValueError(f"{what} {word!r}: expected {', '.join(words[:-1])} or {words[-1]}")
    return word


def _read_limit(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise ValueError(f"limit {text!r}: expected a whole number from 1")
    return int(text)
