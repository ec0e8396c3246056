"""A site where swlb hangs by one port beside a switch that client and servers are on."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netns.running import Host, Swlb, ip, running
from netns.traffic import http_server

VIPS = {4: "10.0.0.100", 6: "fd00::100"}
OWN = {4: "10.0.0.1", 6: "fd00::1"}
PLACES = {"client": 10, "web1": 11, "web2": 12}
PORT = 8080


def config_of(lan: str, **keys: object) -> str:
    """swlb behind device `arm` of the namespace; `keys` are of the service."""
    servers = {f"{name}v{family}": {"address": address.format(n), "port": PORT}
               for name, n in PLACES.items() if name != "client"
               for family, address in ((4, "10.0.0.{}"), (6, "fd00::{}"))}  # fmt: skip
    return json.dumps({
        "topology": "one-arm",
        "limits": {"sessions": 1000},
        "ports": {"arm": {"tap": "arm", "netns": lan}},
        "segments": {"lan": {"ports": ["arm"], "addresses": ["10.0.0.1/24", "fd00::1/64", "10.0.5.1/24"]}},
        "services": {"web": {"vip": list(VIPS.values()), "port": 80, "servers": servers, **keys}},
    })  # fmt: skip


@contextmanager
def beside(make_netns: Callable[[], str], directory: Path, **keys: object) -> Iterator[tuple[Swlb, dict[str, Host]]]:
    """Within the block swlb hangs by its port at the switch that the hosts are on, and both servers serve."""
    lan = make_netns()
    ip(lan, "link add br0 type bridge")
    ip(lan, "link set br0 up")
    hosts = {name: Host(name, make_netns(), "eth0", (f"10.0.0.{n}/24", f"fd00::{n}/64")) for name, n in PLACES.items()}
    for name, host in hosts.items():
        ip(lan, f"link add {name} type veth peer name eth0 netns {host.netns}")
        ip(lan, f"link set {name} master br0 up")
        host.ip("link set eth0 up")
    with ExitStack() as stack:
        swlb = stack.enter_context(running(config_of(lan, **keys), netns=make_netns(), directory=directory,
                                           hosts=hosts.values()))  # fmt: skip
        ip(lan, "link set arm master br0 up")
        for host in (hosts["web1"], hosts["web2"]):
            for family in (4, 6):
                stack.enter_context(http_server(host, host.address(family), PORT))
        yield swlb, hosts
