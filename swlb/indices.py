"""Who has which index in the workers, now and after a reload.

What stays keeps its index. What is new gets one that nobody has had in the configuration before: frames, letters
between workers and events may still name what has just left. What left keeps its index for that reload, and for as
long as it is in use: a server, while it has sessions. What comes back is new: a server that is yet to be probed must
not have the sessions that went on when it left.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from swlb.addresses import packed
from swlb.config import Config, Service

Key = TypeVar("Key", bound=Hashable)

PORTS = 256  # ext/ports/port.pxd
ROOM = 65535  # an index has 16 bits, and the last is nobody


@dataclass(frozen=True)
class Places(Generic[Key]):
    """The indices of what there is, in the order of the configuration, and of what has left it.

    `size` is how many places there must be: it never shrinks, as the workers' tables do not.
    """

    present: Mapping[Key, int] = field(default_factory=dict)
    left: Mapping[int, Key] = field(default_factory=dict)
    size: int = 0

    def next(self, wanted: Iterable[Key], *, is_used: Callable[[int], bool], room: int = ROOM) -> "Places[Key]":
        """The places once these are what there is. `is_used` says of an index whose owner had left whether it still is.

        Where there is no other room, what comes takes the place of what leaves. ValueError where there is none at all.
        """
        wanted = dict.fromkeys(wanted)
        left = {index: key for index, key in self.left.items() if is_used(index)}
        left |= {index: key for key, index in self.present.items() if key not in wanted}
        taken = {self.present[key] for key in wanted if key in self.present} | left.keys()
        rested = chain((index for index in range(room) if index not in taken), sorted(left))
        present: dict[Key, int] = {}
        for key in wanted:
            index = self.present.get(key)
            present[key] = index if index is not None else _first(rested, room)
        again = set(present.values())
        size = max(self.size, 1 + max(again, default=-1))
        return Places(present, {index: key for index, key in left.items() if index not in again}, size)


def _first(indices: Iterable[int], room: int) -> int:
    for index in indices:
        return index
    raise ValueError(f"there is room for {room} only")


# Keys are looked up some ten times for each server, for which an Address takes its time: its bytes stand for it here.


class ServiceKey(NamedTuple):
    """What makes a service the same after a reload; its double for probes is one of its own."""

    name: str
    vips: tuple[bytes, ...]
    protocol: str
    forward: str
    double: bool = False


class ServerKey(NamedTuple):
    """What makes a server the same after a reload."""

    service: ServiceKey
    name: str
    address: bytes
    port: int | None


def service_key(service: Service, *, double: bool = False) -> ServiceKey:
    return ServiceKey(service.name, tuple(map(packed, service.vips)), service.protocol, service.forward, double)


def server_keys(service: Service, *, double: bool = False) -> list[ServerKey]:
    """Those of all servers of the service, in the order of the configuration."""
    of = service_key(service, double=double)
    return [ServerKey(of, server.name, packed(server.address), server.port) for server in service.servers.values()]


@dataclass(frozen=True)
class Indices:
    """All of them."""

    segments: Places[str] = field(default_factory=Places)
    ports: Places[str] = field(default_factory=Places)
    services: Places[ServiceKey] = field(default_factory=Places)
    servers: Places[ServerKey] = field(default_factory=Places)

    def next(self, config: Config, ports: Iterable[str], *, has_sessions: Callable[[int], bool]) -> "Indices":
        """The indices under that configuration with these ports. `has_sessions` is asked of servers that had left."""
        wanted = list(_services(config))
        servers = self.servers.next(
            [key for service, double in wanted for key in server_keys(service, double=double)],
            is_used=has_sessions,
        )
        # A service is there as long as a server of it is.
        serving = {key.service for key in servers.left.values()}
        return Indices(
            self.segments.next(config.segments, is_used=_never),
            self.ports.next(ports, is_used=_never, room=PORTS),
            self.services.next(
                [service_key(service, double=double) for service, double in wanted],
                is_used=lambda index: self.services.left[index] in serving,
            ),
            servers,
        )

    def servers_of(self, service: Service, *, double: bool = False) -> dict[tuple[str, str], int]:
        """The indices of the servers of a service that is there, or of their doubles, by service and server."""
        keys = server_keys(service, double=double)
        return {(service.name, key.name): self.servers.present[key] for key in keys}

    def service(self, service: Service, *, double: bool = False) -> int:
        """The index of a service that is there, or of its double."""
        return self.services.present[service_key(service, double=double)]

    def left_servers(self) -> dict[int, tuple[str, str]]:
        """Service and server, by index, of those that have left and may have sessions; doubles are nobody's."""
        return {
            index: (key.service.name, key.name) for index, key in self.servers.left.items() if not key.service.double
        }


def _services(config: Config) -> Iterable[tuple[Service, bool]]:
    """Every service, and behind all of them the doubles of those that are probed through their VIPs."""
    for service in config.services.values():
        yield service, False
    for service in config.services.values():
        if service.checks_through_vip:
            yield service, True


def _never(_: int) -> bool:
    return False
