"""swlb itself, in every mode it has. Its ports are the hosts' only devices."""

import json
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from .commands import run
from .peer import (
    CLIENT_ADDRESS,
    CLIENT_OF_SEGMENT,
    GATEWAY,
    READY_TIMEOUT_S,
    SERVER,
    SERVER_ADDRESS,
    VIP,
    VIP_OF_SEGMENT,
    Peer,
    Setup,
    hosts,
)
from .servers import PACKETS_PORT, TCP_PORTS
from .topology import POLL_S, End, Process, Topology, address_device

READY = "ready"
LARGE_PORT = 8080  # of all servers of a large configuration
Configuration = dict[str, object]


def start_routed(peer: Peer, topology: Topology, *, workers: int = 1) -> Setup:
    """swlb as the servers' gateway, translating the VIP."""
    client, server = hosts(peer, topology)
    process = start_swlb(topology, routed(client, server, workers=workers), name=peer.name)
    address_device(End(client, "swc0", CLIENT_ADDRESS))
    address_device(End(server, "sws0", SERVER_ADDRESS))
    run(["ip", "-n", server, "route", "add", "default", "via", GATEWAY])
    return Setup(peer, client, server, target=VIP, balancer=process)


def start_transparent(peer: Peer, topology: Topology) -> Setup:
    """swlb as a switch nobody knows of that translates a VIP of the segment."""
    return _start_segment(peer, topology, transparent, target=VIP_OF_SEGMENT)


def start_switch(peer: Peer, topology: Topology) -> Setup:
    """swlb as a learning switch and nothing else."""
    return _start_segment(peer, topology, switch, target=SERVER)


def routed(client: str, server: str, *, workers: int = 1) -> Configuration:
    """swlb between two namespaces as a router, one service for each port the figures use."""
    return {
        "mode": "routed",
        # Left out when it is what swlb does by itself, so that versions without the key take it too.
        **({"workers": workers} if workers > 1 else {}),
        "ports": _ports(client, server),
        "segments": {"outside": {"ports": ["client"], "addresses": ["10.0.1.1/24"]},
                     "inside": {"ports": ["server"], "addresses": [f"{GATEWAY}/24"]}},
        "services": services(VIP),
    }


def transparent(client: str, server: str) -> Configuration:
    """Both namespaces in one segment, with the same services."""
    return {
        "mode": "transparent",
        "ports": _ports(client, server),
        "segments": {"lan": {"ports": ["client", "server"], "addresses": [f"{GATEWAY}/24"]}},
        "services": services(VIP_OF_SEGMENT),
    }


def switch(client: str, server: str) -> Configuration:
    """Both namespaces in one segment without addresses: nothing but switching."""
    return {
        "mode": "transparent",
        "ports": _ports(client, server),
        "segments": {"lan": {"ports": ["client", "server"]}},
    }


def large(client: str, server: str, *, services: int, servers: int,
          check: Mapping[str, object] = MappingProxyType({"type": "tcp"})) -> Configuration:
    """A router with many services, each with a VIP of its own and as many servers of its own, all checked."""
    def servers_of(service: int) -> Configuration:
        return {f"s{n}": {"address": f"10.2.{service}.{n}", "port": LARGE_PORT} for n in range(1, servers + 1)}

    return {
        "mode": "routed",
        "ports": _ports(client, server),
        "segments": {"outside": {"ports": ["client"], "addresses": ["10.1.255.254/16"]},
                     "inside": {"ports": ["server"], "addresses": ["10.2.255.254/16"]}},
        "services": {f"web{n}": {"vip": f"10.1.0.{n}", "port": 80, "check": dict(check), "servers": servers_of(n)}
                     for n in range(1, services + 1)},
    }


def start_swlb(topology: Topology, configuration: Configuration, *, name: str) -> Process:
    """A running swlb in a namespace of its own, ready."""
    balancer = topology.namespace(f"{name}-balancer")
    return spawn_swlb(topology, configuration, netns=balancer, name=name)


def spawn_swlb(topology: Topology, configuration: Configuration, *, netns: str, name: str,
               poll_s: float = POLL_S) -> Process:
    """swlb runs in that namespace and is ready, for which we look every poll_s."""
    # JSON is YAML.
    file = topology.file(f"{name}.yaml", json.dumps(configuration, indent=2))
    control = topology.directory / f"{name}.sock"
    process = topology.spawn([sys.executable, "-m", "swlb", "run", str(file), "--control", str(control)],
                             netns=netns, name=name)
    process.wait_until(lambda: process.says(READY), READY, timeout_s=READY_TIMEOUT_S, poll_s=poll_s)
    return process


def _start_segment(peer: Peer, topology: Topology, configure: Callable[[str, str], Configuration], *,
                   target: str) -> Setup:
    client, server = hosts(peer, topology)
    process = start_swlb(topology, configure(client, server), name=peer.name)
    address_device(End(client, "swc0", CLIENT_OF_SEGMENT))
    address_device(End(server, "sws0", SERVER_ADDRESS))
    return Setup(peer, client, server, target=target, balancer=process)


def _ports(client: str, server: str) -> Configuration:
    return {"client": {"tap": "swc0", "netns": client}, "server": {"tap": "sws0", "netns": server}}


def services(vip: str, *, forward: str = "nat") -> Configuration:
    """One for each port the figures use, with the one server."""
    l4_ports = [("tcp", port) for port in TCP_PORTS] + [("udp", PACKETS_PORT)]
    return {f"{protocol}-{port}": {"vip": vip, "port": port, "protocol": protocol, "scheduler": "rr",
                                   **({"forward": forward} if forward != "nat" else {}),
                                   "servers": {"s1": {"address": SERVER}}}
            for protocol, port in l4_ports}
