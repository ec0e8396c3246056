"""The two sites that most tests use: three servers behind a routed and behind a transparent swlb, IPv4 and IPv6.

At both, service `web` (TCP 80 to 8080, checked) and service `echo` (UDP 7 to 7007, not checked) stand at one VIP of
each family; server web1 is `web1` in IPv4 and `web1v6` in IPv6.
"""

import json
import queue
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from netns.running import Host, Site, Swlb, running
from netns.traffic import connect, http_server, listening, udp_echo
from swlb.config import parse
from swlb.config.models import Check

WEB_PORT, ECHO_PORT = 8080, 7007
NAMES = ("client", "web1", "web2", "web3")

# So short that a test sees a server go and come; `response` leaves room for a busy machine.
CHECK = {"type": "tcp", "interval": "200ms", "response": "300ms", "retries": 2, "timeout": "1s",
         "dead_interval": "200ms", "rise": 2}

Change = Callable[[dict[str, Any]], None]


def unchanged(config: dict[str, Any]) -> None:
    pass


class Routed:
    """Clients and servers on two segments; swlb is the gateway of both."""

    vips: Mapping[int, str] = {4: "10.0.1.100", 6: "fd00:1::100"}
    routers: Mapping[int, str] = {4: "10.0.1.1", 6: "fd00:1::1"}  # as the client sees swlb

    @staticmethod
    def hosts(make_netns: Callable[[], str]) -> dict[str, Host]:
        places = {"client": ("1", "10"), "web1": ("2", "11"), "web2": ("2", "12"), "web3": ("2", "13")}
        return {
            name: Host(name, make_netns(), f"sw-{name}", (f"10.0.{net}.{n}/24", f"fd00:{net}::{n}/64"),
                       (f"10.0.{net}.1", f"fd00:{net}::1"))
            for name, (net, n) in places.items()
        }  # fmt: skip

    @staticmethod
    def segments() -> dict[str, Any]:
        return {
            "outside": {"ports": ["client"], "addresses": ["10.0.1.1/24", "fd00:1::1/64"]},
            "inside": {"ports": ["web1", "web2", "web3"], "addresses": ["10.0.2.1/24", "fd00:2::1/64"]},
        }


class Transparent:
    """All on one segment, and no host knows of swlb."""

    vips: Mapping[int, str] = {4: "10.0.0.100", 6: "fd00::100"}
    routers: Mapping[int, str] = {4: "10.0.0.1", 6: "fd00::1"}

    @staticmethod
    def hosts(make_netns: Callable[[], str]) -> dict[str, Host]:
        places = {"client": 10, "web1": 11, "web2": 12, "web3": 13}
        return {
            name: Host(name, make_netns(), f"sw-{name}", (f"10.0.0.{n}/24", f"fd00::{n}/64"))
            for name, n in places.items()
        }

    @staticmethod
    def segments() -> dict[str, Any]:
        return {"lan": {"ports": list(NAMES), "addresses": ["10.0.0.1/24", "fd00::1/64"]}}


Shape = type[Routed] | type[Transparent]


def config_of(shape: Shape, hosts: Mapping[str, Host], change: Change = unchanged) -> str:
    """The configuration of the site, after `change`; JSON is YAML."""
    servers = [(name, host) for name, host in hosts.items() if name.startswith("web")]
    vip = list(shape.vips.values())

    def at(port: int) -> dict[str, Any]:
        ipv4 = {name: {"address": host.ipv4, "port": port} for name, host in servers}
        return ipv4 | {f"{name}v6": {"address": host.ipv6, "port": port} for name, host in servers}

    config = {
        "mode": shape.__name__.lower(),
        "limits": {"sessions": 10_000},
        "ports": {name: {"tap": host.device, "netns": host.netns} for name, host in hosts.items()},
        "segments": shape.segments(),
        "services": {
            "web": {"vip": vip, "port": 80, "check": dict(CHECK), "servers": at(WEB_PORT)},
            "echo": {"vip": vip, "port": 7, "protocol": "udp", "servers": at(ECHO_PORT)},
        },
    }
    change(config)
    return json.dumps(config, indent=1)


@contextmanager
def site(
    shape: Shape, make_netns: Callable[[], str], directory: Path, *, change: Change = unchanged,
    options: Sequence[str] = (),
) -> Iterator[Site]:
    """Within the block swlb runs and its hosts have their addresses; nobody serves yet."""
    hosts = shape.hosts(make_netns)
    config = config_of(shape, hosts, change)
    with running(config, netns=make_netns(), directory=directory, hosts=hosts.values(), options=options) as swlb:
        yield Site(swlb, hosts)


@contextmanager
def serving(at: Site) -> Iterator[Site]:
    """Within the block every server serves HTTP and echo, IPv4 and IPv6, and swlb knows that it does."""
    with ExitStack() as stack:
        for host in at.servers:
            for family in (4, 6):
                stack.enter_context(http_server(host, host.address(family), WEB_PORT))
                stack.enter_context(udp_echo(host, host.address(family), ECHO_PORT))
        at.swlb.wait_operational("up")
        yield at


@contextmanager
def connected(at: Site, family: int, vip: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a connection through the VIP to web1, where nobody serves: the client's and the server's."""
    accepted: queue.Queue[socket.socket] = queue.Queue()
    server = at["web1"]
    with listening(server, server.address(family), WEB_PORT, lambda sock: accepted.put(sock.dup())):
        near = connect(at.client, vip, 80)
        yield near, accepted.get(timeout=5)


def check_of(swlb: Swlb) -> Check:
    """The check of service web as swlb understands it."""
    (check,) = parse(swlb.file.read_text(), file=str(swlb.file)).services["web"].checks
    return check
