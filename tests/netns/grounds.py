"""Where swlb stands: the hosts around it and what connects them, laid out before it runs. One function a topology.

Every ground has a client, servers web1 to web3, and a VIP of each family; 1 is swlb's own address in a subnet, 100 the
VIP and 254 a router's. Nothing here is swlb's, but `own`, the namespace it is to run in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netns.running import Host, ip

Make = Callable[[], str]

SERVERS = {"web1": 11, "web2": 12, "web3": 13}
OUTSIDE, INSIDE, APART = 1, 2, 5  # third number of a subnet; 0 is that of hosts beside each other


@dataclass(frozen=True)
class Ground:
    """What stands around swlb, and what its configuration says of it.

    `doors` are the far ends of swlb's ports: what is outgoing there enters swlb. `narrow` are the devices of the link
    behind swlb, as (namespace, device), and `narrow_ports` those ports of swlb's that are on it; none: there is no link
    that is only behind swlb. `front` and `front_ports` are the same of the client's link. `router`: who routes beside
    swlb; "" for nobody.
    """

    own: str
    hosts: Mapping[str, Host]
    ports: Mapping[str, Any]
    segments: Mapping[str, Any]
    net: int  # of the VIPs
    doors: Sequence[Host]
    narrow: Sequence[tuple[str, str]] = ()
    narrow_ports: Sequence[str] = ()
    routes: Sequence[Mapping[str, str]] = field(default=())
    front: Sequence[tuple[str, str]] = ()
    front_ports: Sequence[str] = ()
    router: str = ""

    @property
    def vips(self) -> dict[int, str]:
        return at(self.net, 100)

    @property
    def client(self) -> Host:
        return self.hosts["client"]

    @property
    def servers(self) -> list[Host]:
        return [self.hosts[name] for name in SERVERS]


def at(net: int, number: int) -> dict[int, str]:
    """The addresses of that number in the subnet, by family."""
    return {4: f"10.0.{net}.{number}", 6: f"fd00:{net}::{number}" if net else f"fd00::{number}"}


def both(net: int, number: int) -> tuple[str, str]:
    """The same as interfaces have them."""
    of = at(net, number)
    return f"{of[4]}/24", f"{of[6]}/64"


def routed(make: Make, *, kinds: Mapping[str, str] = {}) -> Ground:
    """Clients and servers on two segments of swlb; a host's port is a TAP where `kinds` says nothing else."""
    own = make()
    client = Host("client", make(), "eth0", both(OUTSIDE, 10), tuple(at(OUTSIDE, 1).values()))
    hosts = {"client": client} | {name: Host(name, make(), "eth0", both(INSIDE, n)) for name, n in SERVERS.items()}
    segments = {
        "outside": {"ports": ["client"], "addresses": both(OUTSIDE, 1)},
        "inside": {"ports": list(SERVERS), "addresses": both(INSIDE, 1)},
    }
    return _inline(own, hosts, segments, OUTSIDE, kinds)


def transparent(make: Make, *, kinds: Mapping[str, str] = {}) -> Ground:
    """All on one segment of swlb, and no host knows of it."""
    own = make()
    hosts = {name: Host(name, make(), "eth0", both(0, n)) for name, n in {"client": 10, **SERVERS}.items()}
    return _inline(own, hosts, {"lan": {"ports": list(hosts), "addresses": both(0, 1)}}, 0, kinds)


def _inline(
    own: str, hosts: Mapping[str, Host], segments: Mapping[str, Any], net: int, kinds: Mapping[str, str]
) -> Ground:
    ports: dict[str, Any] = {}
    links: dict[str, list[tuple[str, str]]] = {}
    for name, host in hosts.items():
        kind = kinds.get(name, "tap")
        ports[name] = {kind: host.device, "netns": host.netns}
        if kind == "packet":
            lay_wire(host, own, name)
            ports[name] = {"packet": name}
        links[name] = [(host.netns, host.device)] + [(own, name)] * (kind == "packet")
    narrow = [end for name in SERVERS for end in links[name]]
    return Ground(own, hosts, ports, segments, net, tuple(hosts.values()), narrow, tuple(SERVERS),
                  front=links["client"], front_ports=("client",))


def beside_switch(make: Make) -> Ground:
    """swlb has one port, at a switch that everybody is on: servers can answer the client past it."""
    lan = make_switch(make, "lan")
    hosts = {name: Host(name, make(), "eth0", both(0, n)) for name, n in {"client": 10, **SERVERS}.items()}
    for name, host in hosts.items():
        plug(host, lan, "lan", name)
    return _one_arm(make(), lan, hosts, both(0, 1))


def beside_switch_as_gateway(make: Make) -> Ground:
    """The same with the client in a subnet of its own, from which swlb is the way to all others."""
    lan = make_switch(make, "lan")
    client = Host("client", make(), "eth0", both(APART, 10), tuple(at(APART, 1).values()))
    hosts = {"client": client} | {name: Host(name, make(), "eth0", both(0, n)) for name, n in SERVERS.items()}
    for name, host in hosts.items():
        plug(host, lan, "lan", name)
    return _one_arm(make(), lan, hosts, (*both(0, 1), *both(APART, 1)))


def beside_router(make: Make) -> Ground:
    """swlb has one port, at the switch of the client and of a router, behind which the servers are."""
    lan = make_switch(make, "front", "back")
    gateways = tuple(at(INSIDE, 254).values())
    hosts = {"client": Host("client", make(), "eth0", both(0, 10))}
    hosts |= {name: Host(name, make(), "eth0", both(INSIDE, n), gateways) for name, n in SERVERS.items()}
    for name, host in hosts.items():
        plug(host, lan, "front" if name == "client" else "back", name)
    router = make_router(make, lan, {"front": both(0, 254), "back": both(INSIDE, 254)})
    subnets = {4: f"10.0.{INSIDE}.0/24", 6: f"fd00:{INSIDE}::/64"}
    routes = [{"to": subnet, "via": at(0, 254)[family]} for family, subnet in subnets.items()]
    return _one_arm(make(), lan, hosts, both(0, 1), switch="front", narrow=back_links(lan, router, hosts),
                    routes=routes, router=router)


def _one_arm(
    own: str, lan: str, hosts: Mapping[str, Host], addresses: Sequence[str], *, switch: str = "lan",
    narrow: Sequence[tuple[str, str]] = (), routes: Sequence[Mapping[str, str]] = (), router: str = "",
) -> Ground:
    arm = Host("arm", lan, "arm", (), switch=switch)
    segments = {"lan": {"ports": ["arm"], "addresses": addresses}}
    ports = {"arm": {"tap": "arm", "netns": lan}}
    front = [*front_links(lan, router, hosts if switch == "lan" else ("client",), hosts), (lan, "arm")]
    return Ground(own, hosts, ports, segments, 0, (arm,), narrow, routes=routes, front=front, front_ports=("arm",),
                  router=router)


def two_legs(make: Make) -> Ground:
    """swlb has a port at the client's switch and one at the servers'; a router beside it is the servers' gateway."""
    lan = make_switch(make, "front", "back")
    gateways = tuple(at(INSIDE, 254).values())
    hosts = {"client": Host("client", make(), "eth0", both(OUTSIDE, 10))}
    hosts |= {name: Host(name, make(), "eth0", both(INSIDE, n), gateways) for name, n in SERVERS.items()}
    for name, host in hosts.items():
        plug(host, lan, "front" if name == "client" else "back", name)
    router = make_router(make, lan, {"front": both(OUTSIDE, 254), "back": both(INSIDE, 254)})
    doors = [Host(leg, lan, f"swlb-{leg}", (), switch=leg) for leg in ("front", "back")]
    segments = {
        "outside": {"ports": ["front"], "addresses": both(OUTSIDE, 1)},
        "inside": {"ports": ["back"], "addresses": both(INSIDE, 1)},
    }
    narrow = [*back_links(lan, router, hosts), (lan, "swlb-back")]
    ports = {door.name: {"tap": door.device, "netns": lan} for door in doors}
    front = [*front_links(lan, router, ("client",), hosts), (lan, "swlb-front")]
    return Ground(make(), hosts, ports, segments, OUTSIDE, doors, narrow, ("back",), front=front,
                  front_ports=("front",), router=router)


def lay_wire(host: Host, netns: str, device: str) -> None:
    """A veth pair between the host's device and one of the namespace."""
    ip(netns, f"link add {device} type veth peer name {host.device} netns {host.netns}")
    ip(netns, f"link set {device} up")
    host.ip(f"link set {host.device} up")


def make_switch(make: Make, *bridges: str) -> str:
    """A namespace with these bridges, which are not connected."""
    netns = make()
    for bridge in bridges:
        ip(netns, f"link add {bridge} type bridge mcast_snooping 0")
        ip(netns, f"link set {bridge} up")
    return netns


def plug(host: Host, netns: str, bridge: str, device: str) -> None:
    """The host is connected to the bridge by a wire."""
    lay_wire(host, netns, device)
    ip(netns, f"link set {device} master {bridge}")


def make_router(make: Make, netns: str, legs: Mapping[str, Sequence[str]]) -> str:
    """A kernel that routes between the bridges of a namespace, by a leg at each."""
    router = make()
    for name, addresses in legs.items():
        leg = Host("router", router, name, tuple(addresses))
        plug(leg, netns, name, f"router-{name}")
        leg.configure()
    # Replies with a VIP as source come from where the VIP is not.
    keys = ("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1", "ipv4.conf.all.rp_filter=0",
            *(f"ipv4.conf.{name}.rp_filter=0" for name in legs))  # fmt: skip
    done = leg.run("sysctl", "-qw", *(f"net.{key}" for key in keys))
    assert done.returncode == 0, done.stderr
    return router


def back_links(lan: str, router: str, hosts: Mapping[str, Host]) -> list[tuple[str, str]]:
    """Both ends of all wires at the bridge "back"."""
    far = [(hosts[name].netns, hosts[name].device) for name in SERVERS]
    return [*far, (router, "back"), *((lan, device) for device in ("router-back", *SERVERS))]


def front_links(
    lan: str, router: str, names: Iterable[str], hosts: Mapping[str, Host]
) -> list[tuple[str, str]]:
    """Both ends of the wires of these hosts, and of the router's leg in front, where there is one."""
    far = [(hosts[name].netns, hosts[name].device) for name in names]
    legs = [(router, "front"), (lan, "router-front")] if router else []
    return [*far, *((lan, name) for name in names), *legs]
