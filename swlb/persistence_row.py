"""Persistence as `swlb show` tells it: which clients would come back to which server."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, Protocol

from swlb.addresses import Network, unpacked
from swlb.build import Built
from swlb.config import Config
from swlb.session_filter import SessionFilter

Row = dict[str, Any]


class Running(Protocol):
    """What the rows are taken from."""

    config: Config
    built: Built


def persistence(run: Running) -> list[Row]:
    """One row a client, or network of clients, that would come back to its server."""
    return [row for rows in persistence_slices(run, SessionFilter()) for row in rows]


def persistence_slices(run: Running, wanted: SessionFilter) -> Iterator[list[Row]]:
    """Those that are wanted, in lists of which each takes a few milliseconds: there may be a million."""
    wanted.in_indices(run.built)  # what is not there is refused, before anything is told
    return wanted.cut([row for row in rows if _is_wanted(row, wanted)] for rows in _slices(run))


def _is_wanted(row: Row, wanted: SessionFilter) -> bool:
    """A client is wanted that the row is of, or one of whose clients it is."""
    if wanted.service not in (None, row["service"]) or wanted.server not in (None, row["server"]):
        return False
    return wanted.client is None or _overlap(ip_network(row["client"]), wanted.client)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _slices(run: Running) -> Iterator[list[Row]]:
    services = {index: run.config.services[name] for name, index in run.built.services.items()}
    servers = {index: "/".join(key) for key, index in run.built.servers.items()}
    for rows in run.built.workers.persistence_slices():
        told = []
        for index, client, server, age_ms, left_ms, sessions in rows:
            service, address = services.get(index), unpacked(client)
            # It may have been forgotten since, with its server or with persistence itself.
            if service is None or service.persistence is None or server not in servers:
                continue
            mask = service.persistence.mask if address.version == 4 else service.persistence.mask6
            told.append(
                {
                    "service": service.name,
                    "client": f"{address}/{mask}",
                    "server": servers[server],
                    "age_s": age_ms / 1000,
                    "expires_s": None if left_ms is None else left_ms / 1000,
                    "sessions": sessions,
                }
            )
        yield told
