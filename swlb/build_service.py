"""A service of the configuration as a worker takes it: its own figures, and those of its servers."""

from collections.abc import Mapping
from typing import Any

from swlb._worker import Worker
from swlb.addresses import packed
from swlb.config import Config, Server, Service, Timeouts
from swlb.config.ways import segment_of_vip
from swlb.servers import READY_UP

NS = 1_000_000_000
PROTOCOLS = {"tcp": 6, "udp": 17}

# ext/tables/service.pxd
ANSWERS = {"reset": 0, "drop": 1, "unreachable": 2}
ON_DOWN = {None: 0, "keep": 1, "reschedule": 2, "reset": 3, "drop": 4}


def add_service(worker: Worker, config: Config, service: Service, segments: Mapping[str, int], index: int) -> None:
    """The service of that index is there, still without servers. `segments` are their indices."""
    homes = [(vip, segment_of_vip(config, vip)) for vip in service.vips]
    worker.add_service(
        index=index,
        vips=[(packed(vip), None if home is None else segments[home.name]) for vip, home in homes],
        protocol=PROTOCOLS[service.protocol],
        l4_first=service.port_first,
        l4_last=service.port_last,
        refuse=ANSWERS[service.refuse],
        orphans=ANSWERS[service.orphans],
        on_down=ON_DOWN[service.on_down],
        timeouts_ns=state_timeouts(service.timeouts),
        forward=service.forward,
        source_nat=service.source_nat,
        mss=service.mss,
        gue_port=service.gue.port,
        requests=service.datagrams_a_choice,
        responses=service.responses or 0,
        **_schedule(service),
    )


def _schedule(service: Service) -> dict[str, Any]:
    """How the service's servers are chosen."""
    chosen: dict[str, Any] = {"scheduler": "table" if service.has_own_scheduler else service.scheduler}
    chosen["hash_key"] = service.hash_key or "none"
    if persistence := service.persistence:
        chosen["persistence_ns"] = int(persistence.timeout * NS)
        chosen["persistence_masks"] = (96 + persistence.mask, persistence.mask6)
    return chosen


def wanted_at_start(server: Server, *, up: bool) -> dict[str, int]:
    """What is wanted of a server that is new."""
    return {"weight": server.weight, "ready": READY_UP if up else 0}


def add_server(
    worker: Worker, service: int, server: Server, pool: int | None, wanted: Mapping[str, int], index: int
) -> None:
    """The server of that index is there, of the service of that index. `pool` may stand for clients there."""
    worker.add_server(
        service,
        index=index,
        ip=packed(server.address),
        l4_port=server.port or 0,
        pool=pool,
        **wanted,
        backup=server.backup,
        limit=server.max_connections.upper if server.max_connections else 0,
        lower=server.max_connections.lower if server.max_connections else 0,
    )


def state_timeouts(timeouts: Timeouts) -> list[int]:
    """Nanoseconds a session may be idle, in the order of the states in ext/tables/state.pxd."""
    syn, established, fin = timeouts.tcp_syn, timeouts.tcp_established, timeouts.tcp_fin
    of_tcp = [syn, syn, syn, established, fin, fin, fin, fin, timeouts.tcp_closed, syn]
    return [int(seconds * NS) for seconds in (*of_tcp, timeouts.udp, timeouts.udp_stream)]
