"""swlb in the modes that need more around it: beside a switch, with replies that go straight back, between interfaces.

Beside a switch, client, server and swlb hang at a bridge of the kernel's, in a namespace of its own, in one network.
"""

import os
from collections.abc import Mapping
from functools import partial

from swlb.bpf import link_to_ingress
from swlb.namespaces import namespace

from .commands import Unavailable, run
from .ours import Configuration, services, spawn_swlb, start_swlb
from .peer import (
    CLIENT_ADDRESS,
    CLIENT_OF_SEGMENT,
    GATEWAY,
    SERVER_ADDRESS,
    VIP,
    VIP_OF_SEGMENT,
    Peer,
    Setup,
    hosts,
)
from .topology import End, Topology, address_device
from .unwrap import new_unwrapper

ARM = "swa0"
# A server that has the VIP, too, must neither answer for it nor ask in its name.
QUIET_VIP = ("net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")


def start_one_arm(peer: Peer, topology: Topology) -> Setup:
    """swlb beside the switch, as whose client the server sees its clients."""
    return _start_beside(peer, topology)


def start_direct_return(peer: Peer, topology: Topology, *, forward: str) -> Setup:
    """The same with a server that has the VIP and answers clients itself; `forward` is how requests get to it."""
    setup = _start_beside(peer, topology, forward=forward)
    run(["ip", "-n", setup.server, "address", "add", f"{VIP_OF_SEGMENT}/32", "dev", "lo"])
    run(["sysctl", "-q", "-w", *QUIET_VIP], netns=setup.server)
    if forward != "dsr":
        _unwrap(topology, setup.server, "s0")
    return setup


def start_packet(peer: Peer, topology: Topology) -> Setup:
    """swlb as the servers' gateway between two interfaces that are there already."""
    client, server = hosts(peer, topology)
    balancer = topology.namespace(f"{peer.name}-balancer")
    for near, far in (("b0", End(client, "c0", CLIENT_ADDRESS)), ("b1", End(server, "s0", SERVER_ADDRESS))):
        run(["ip", "-n", balancer, "link", "add", near, "type", "veth", "peer", "name", far.device, "netns", far.netns])
        run(["ip", "-n", balancer, "link", "set", near, "up"])
        address_device(far)
    run(["ip", "-n", server, "route", "add", "default", "via", GATEWAY])
    configuration = _routed({"client": {"packet": "b0"}, "server": {"packet": "b1"}})
    process = spawn_swlb(topology, configuration, netns=balancer, name=peer.name)
    return Setup(peer, client, server, target=VIP, balancer=process)


def start_tun(peer: Peer, topology: Topology) -> Setup:
    """swlb as the servers' gateway, and clients at a segment without Ethernet."""
    client, server = hosts(peer, topology)
    ports = {"client": {"tun": "swc0", "netns": client}, "server": {"tap": "sws0", "netns": server}}
    process = start_swlb(topology, _routed(ports), name=peer.name)
    address_device(End(client, "swc0", CLIENT_ADDRESS))
    address_device(End(server, "sws0", SERVER_ADDRESS))
    run(["ip", "-n", server, "route", "add", "default", "via", GATEWAY])
    return Setup(peer, client, server, target=VIP, balancer=process)


def _routed(ports: Mapping[str, object]) -> Configuration:
    return {
        "mode": "routed",
        "ports": ports,
        "segments": {"outside": {"ports": ["client"], "addresses": ["10.0.1.1/24"]},
                     "inside": {"ports": ["server"], "addresses": [f"{GATEWAY}/24"]}},
        "services": services(VIP),
    }


def _start_beside(peer: Peer, topology: Topology, *, forward: str = "nat") -> Setup:
    client, server = hosts(peer, topology)
    lan = topology.namespace(f"{peer.name}-lan")
    run(["ip", "-n", lan, "link", "add", "br0", "up", "type", "bridge"])
    for end in (End(client, "c0", CLIENT_OF_SEGMENT), End(server, "s0", SERVER_ADDRESS)):
        run(["ip", "-n", lan, "link", "add", f"to-{end.device}", "up", "master", "br0",
             "type", "veth", "peer", "name", end.device, "netns", end.netns])
        address_device(end)
    process = start_swlb(topology, {
        "topology": "one-arm",
        "ports": {"arm": {"tap": ARM, "netns": lan}},
        "segments": {"lan": {"ports": ["arm"], "addresses": [f"{GATEWAY}/24"]}},
        "services": services(VIP_OF_SEGMENT, forward=forward),
    }, name=peer.name)
    run(["ip", "-n", lan, "link", "set", ARM, "master", "br0", "up"])
    return Setup(peer, client, server, target=VIP_OF_SEGMENT, balancer=process)


def _unwrap(topology: Topology, netns: str, device: str) -> None:
    """What reaches the device in a tunnel goes on as what was in it: there are no tunnel devices to rely on."""
    try:
        with namespace(netns):
            index = int(run(["cat", f"/sys/class/net/{device}/ifindex"], netns=netns))
            link = link_to_ingress(new_unwrapper(), index)
    except OSError as error:
        raise Unavailable(f"this kernel lets no program take packets out of tunnels: {error}") from error
    topology.undo(partial(os.close, link))
