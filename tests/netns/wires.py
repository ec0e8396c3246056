"""Sites whose hosts are on interfaces that were there before swlb: veth pairs, of which swlb holds the near ends."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netns.running import Host, Site, ip, running
from netns.sites import Change, Shape, config_of, unchanged

OFFLOADS = ("rx", "tx", "tso", "gso", "gro")


def near_end(name: str) -> str:
    """What the end of the host's wire is called that swlb holds."""
    return f"near-{name}"


def lay_wire(host: Host, home: str) -> None:
    """A veth pair between the host and the namespace; the near end is down, as nobody has needed it yet."""
    ip(home, f"link add {near_end(host.name)} type veth peer name {host.device} netns {host.netns}")
    host.ip(f"link set {host.device} up")


@contextmanager
def wired(
    shape: Shape, make_netns: Callable[[], str], directory: Path, *, kinds: Mapping[str, str] = {},
    change: Change = unchanged, options: Sequence[str] = (),
) -> Iterator[Site]:
    """Within the block swlb runs; every host is on a wire of its own, those apart of which `kinds` says tap or tun."""
    hosts, home = shape.hosts(make_netns), make_netns()

    def connect(config) -> None:
        for name, host in hosts.items():
            kind = kinds.get(name, "packet")
            if kind == "packet":
                lay_wire(host, home)
                config["ports"][name] = {"packet": near_end(name)}
            else:
                config["ports"][name] = {kind: host.device, "netns": host.netns}
        change(config)

    config = config_of(shape, hosts, connect)
    used = [hosts[name] for name in json.loads(config)["ports"]]
    with running(config, netns=home, directory=directory, hosts=used, options=options) as swlb:
        yield Site(swlb, {host.name: host for host in used})


def one_server(config: dict[str, Any]) -> None:
    """Without checks, and with one server a family."""
    web = config["services"]["web"]
    del web["check"], config["services"]["echo"]
    web["servers"] = {name: web["servers"][name] for name in ("web1", "web1v6")}


@contextmanager
def without_offloads(at: Site, *names: str) -> Iterator[None]:
    """Within the block the wires of those hosts have no offloads at either end."""
    ends = [end for name in names for end in ((at[name].netns, at[name].device), (at.swlb.netns, near_end(name)))]
    try:
        for end in ends:
            set_offloads(*end, "off")
        yield
    finally:
        for end in ends:
            set_offloads(*end, "on")


def set_offloads(netns: str, device: str, state: str) -> None:
    host = Host("", netns, device, ())
    done = host.run("ethtool", "-K", device, *(word for name in OFFLOADS for word in (name, state)))
    assert "Cannot" not in done.stderr, done.stderr
