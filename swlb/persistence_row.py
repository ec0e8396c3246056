"""Persistence as `swlb show` tells it: which clients would come back to which server."""

from collections.abc import Iterator
from typing import Any, Protocol

from swlb.addresses import unpacked
from swlb.build import Built
from swlb.config import Config

Row = dict[str, Any]


class Running(Protocol):
    """What the rows are taken from."""

    config: Config
    built: Built


def persistence(run: Running) -> list[Row]:
    """One row a client, or network of clients, that would come back to its server."""
    return [row for rows in persistence_slices(run) for row in rows]


def persistence_slices(run: Running) -> Iterator[list[Row]]:
    """The same, in lists of which each takes a few milliseconds: there may be a million."""
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
