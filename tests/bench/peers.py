"""The peers: how each is brought up, and the address a client aims at.

Every peer has a client and a server namespace of its own; all but the direct link have a balancer between them, with
the same addresses: client 10.0.1.10, balancer 10.0.1.1 and 10.0.2.1, VIP 10.0.1.100, server 10.0.2.11.
Nothing is reconfigured once the run has begun.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .servers import PACKETS_PORT, TCP_PORTS, nginx_command, nginx_preamble, start_counter, start_web_server
from .topology import End, Process, Topology, address_device

ROOT = Path(__file__).resolve().parents[2]
VIP = "10.0.1.100"
SERVER = "10.0.2.11"
GATEWAY = "10.0.2.1"
READY_TIMEOUT_S = 20.0
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


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
    """Something to measure. `tools` are the programs it needs beyond those every peer needs."""

    name: str
    title: str
    start: Callable[["Peer", Topology], Setup]
    tools: tuple[str, ...] = ()
    carries_udp: bool = True


def start_direct(peer: Peer, topology: Topology) -> Setup:
    """Client and server joined by one veth pair: what the machine can do with nothing in between."""
    client, server = _hosts(peer, topology)
    topology.link(End(client, "c0", "10.0.2.10/24"), End(server, "s0", f"{SERVER}/24"))
    return Setup(peer, client, server, target=SERVER)


def start_nftables(peer: Peer, topology: Topology) -> Setup:
    """The kernel routes between two veth pairs and translates the VIP."""
    client, balancer, server = _routed_hosts(peer, topology)
    rules = f"""
        table ip balancer {{
            chain services {{
                type nat hook prerouting priority dstnat;
                ip daddr {VIP} tcp dport {{ {", ".join(map(str, TCP_PORTS))} }} dnat to {SERVER}
                ip daddr {VIP} udp dport {PACKETS_PORT} dnat to {SERVER}
            }}
        }}"""
    run(["nft", "-f", "-"], netns=balancer, stdin=rules)
    run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"], netns=balancer)
    return Setup(peer, client, server, target=VIP, receiver=(balancer, "b0"))


def start_haproxy(peer: Peer, topology: Topology) -> Setup:
    """HAProxy in TCP mode with one thread. Not with splice-auto, which was no faster over veth in interleaved runs."""
    client, balancer, server = _routed_hosts(peer, topology)
    services = "\n".join(f"listen p{port}\n bind {VIP}:{port}\n server s1 {SERVER}:{port}" for port in TCP_PORTS)
    configuration = topology.file(f"{peer.name}.cfg", (
        "global\n nbthread 1\n maxconn 2048\n"
        "defaults\n mode tcp\n backlog 4096\n"
        f" timeout connect 5s\n timeout client 1m\n timeout server 1m\n{services}\n"))
    process = topology.spawn(["haproxy", "-db", "-f", str(configuration)], netns=balancer, name=peer.name)
    _wait_for_services(process)
    return Setup(peer, client, server, target=VIP, balancer=process)


def start_nginx(peer: Peer, topology: Topology) -> Setup:
    """nginx as a stream proxy with one worker."""
    client, balancer, server = _routed_hosts(peer, topology)
    listens = [(f"{port} backlog=4096", port) for port in TCP_PORTS] + [(f"{PACKETS_PORT} udp", PACKETS_PORT)]
    services = "\n".join(f"  server {{ listen {VIP}:{listen}; proxy_pass {SERVER}:{port}; }}"
                         for listen, port in listens)
    configuration = topology.file(f"{peer.name}.conf", (
        f"load_module {STREAM_MODULE};\n{nginx_preamble(peer.name)}stream {{\n{services}\n}}\n"))
    process = topology.spawn(nginx_command(configuration), netns=balancer, name=peer.name)
    _wait_for_services(process)
    return Setup(peer, client, server, target=VIP, balancer=process)


def start_swlb(peer: Peer, topology: Topology) -> Setup:
    """swlb as the servers' gateway, translating the VIP; its ports are the hosts' only devices."""
    client, server = _hosts(peer, topology)
    balancer = topology.namespace(f"{peer.name}-balancer")
    # JSON is YAML.
    configuration = topology.file("swlb.yaml", json.dumps(swlb_configuration(client, server), indent=2))
    control = topology.directory / "swlb.sock"
    process = topology.spawn([sys.executable, "-m", "swlb", "run", str(configuration), "--control", str(control)],
                             netns=balancer, name=peer.name, cwd=ROOT)
    process.wait_until(lambda: "ready" in process.log.read_text(encoding="utf-8", errors="replace").splitlines(),
                       "ready", timeout_s=READY_TIMEOUT_S)
    address_device(End(client, "swc0", "10.0.1.10/24"))
    address_device(End(server, "sws0", f"{SERVER}/24"))
    run(["ip", "-n", server, "route", "add", "default", "via", GATEWAY])
    return Setup(peer, client, server, target=VIP, balancer=process)


def swlb_configuration(client: str, server: str) -> dict[str, object]:
    """swlb between two namespaces in routed mode, one service for each port the figures use."""
    l4_ports = [("tcp", port) for port in TCP_PORTS] + [("udp", PACKETS_PORT)]
    return {
        "mode": "routed",
        "ports": {"client": {"tap": "swc0", "netns": client}, "server": {"tap": "sws0", "netns": server}},
        "segments": {"outside": {"ports": ["client"], "addresses": ["10.0.1.1/24"]},
                     "inside": {"ports": ["server"], "addresses": [f"{GATEWAY}/24"]}},
        "services": {f"{protocol}-{port}": {"vip": VIP, "port": port, "protocol": protocol, "scheduler": "rr",
                                            "servers": {"s1": {"address": SERVER}}}
                     for protocol, port in l4_ports},
    }


def _hosts(peer: Peer, topology: Topology) -> tuple[str, str]:
    """A client, and a server that answers over HTTP and counts UDP packets."""
    client, server = (topology.namespace(f"{peer.name}-{role}") for role in ("client", "server"))
    start_web_server(topology, netns=server, name=f"{peer.name}-web")
    start_counter(netns=server)
    return client, server


def _routed_hosts(peer: Peer, topology: Topology) -> tuple[str, str, str]:
    """Client, balancer and server in a row; the balancer owns the VIP and is the server's gateway."""
    client, server = _hosts(peer, topology)
    balancer = topology.namespace(f"{peer.name}-balancer")
    topology.link(End(client, "c0", "10.0.1.10/24"), End(balancer, "b0", "10.0.1.1/24"))
    topology.link(End(balancer, "b1", f"{GATEWAY}/24"), End(server, "s0", f"{SERVER}/24"))
    run(["ip", "-n", balancer, "address", "add", f"{VIP}/32", "dev", "b0"])
    run(["ip", "-n", server, "route", "add", "default", "via", GATEWAY])
    return client, balancer, server


def _wait_for_services(process: Process) -> None:
    for port in TCP_PORTS:
        process.wait_until_listening(port)


PEERS = {peer.name: peer for peer in (
    Peer("swlb", "swlb", start_swlb),
    Peer("direct", "direct link", start_direct),
    Peer("nft", "nftables DNAT", start_nftables),
    Peer("haproxy", "HAProxy", start_haproxy, tools=("haproxy",), carries_udp=False),
    Peer("nginx", "nginx stream", start_nginx, tools=(STREAM_MODULE,)),
)}
