"""What a user would pick instead: the kernel's own balancing, HAProxy and nginx; and a link with nothing in between."""

from .commands import run
from .peer import CLIENT_ADDRESS, CLIENT_OF_SEGMENT, GATEWAY, SERVER, SERVER_ADDRESS, VIP, Peer, Setup, hosts
from .servers import PACKETS_PORT, TCP_PORTS, nginx_command, nginx_preamble
from .topology import End, Process, Topology

STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def start_direct(peer: Peer, topology: Topology) -> Setup:
    """Client and server joined by one veth pair: what the machine can do with nothing in between."""
    client, server = hosts(peer, topology)
    topology.link(End(client, "c0", CLIENT_OF_SEGMENT), End(server, "s0", SERVER_ADDRESS))
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


def _routed_hosts(peer: Peer, topology: Topology) -> tuple[str, str, str]:
    """Client, balancer and server in a row; the balancer owns the VIP and is the server's gateway."""
    client, server = hosts(peer, topology)
    balancer = topology.namespace(f"{peer.name}-balancer")
    topology.link(End(client, "c0", CLIENT_ADDRESS), End(balancer, "b0", "10.0.1.1/24"))
    topology.link(End(balancer, "b1", f"{GATEWAY}/24"), End(server, "s0", SERVER_ADDRESS))
    run(["ip", "-n", balancer, "address", "add", f"{VIP}/32", "dev", "b0"])
    run(["ip", "-n", server, "route", "add", "default", "via", GATEWAY])
    return client, balancer, server


def _wait_for_services(process: Process) -> None:
    for port in TCP_PORTS:
        process.wait_until_listening(port)
