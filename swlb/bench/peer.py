"""What a peer is, and the namespaces around it.

Every peer has a client and a server namespace of its own. Those that route have the same addresses: client 10.0.1.10,
balancer 10.0.1.1 and 10.0.2.1, VIP 10.0.1.100, server 10.0.2.11. Those with all in one segment have client 10.0.2.10,
VIP 10.0.2.100, server 10.0.2.11; no host knows of a gateway. Nothing is reconfigured once the run has begun.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .servers import start_counter, start_web_server
from .topology import Process, Topology

VIP = "10.0.1.100"
GATEWAY = "10.0.2.1"
SERVER = "10.0.2.11"
VIP_OF_SEGMENT = "10.0.2.100"
CLIENT_ADDRESS = "10.0.1.10/24"
CLIENT_OF_SEGMENT = "10.0.2.10/24"
SERVER_ADDRESS = f"{SERVER}/24"
READY_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Setup:
    """A peer that is up: who sends, who answers, where to aim, and which process is in between (None: the kernel)."""

    peer: "Peer"
    client: str
    server: str
    target: str
    balancer: Process | None = None
    # Namespace and device of the kernel's receive queue, for peers that balance in the kernel.
    receiver: tuple[str, str] | None = None


@dataclass(frozen=True)
class Peer:
    """Something to measure. `tools` are the programs and files it needs beyond those every peer needs."""

    name: str
    title: str
    start: Callable[["Peer", Topology], Setup]
    tools: tuple[str, ...] = ()
    carries_udp: bool = True


def hosts(peer: Peer, topology: Topology) -> tuple[str, str]:
    """A client, and a server that answers over HTTP and counts UDP packets."""
    client, server = (topology.namespace(f"{peer.name}-{role}") for role in ("client", "server"))
    start_web_server(topology, netns=server, name=f"{peer.name}-web")
    start_counter(netns=server)
    return client, server
