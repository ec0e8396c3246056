"""Devices when the configuration changes: what comes, what goes and what stays, as `ip` and the kernel see it.

No worker runs here. One is built for each configuration, as a reload does, and never forwards.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from netns.running import ip
from swlb.balancer import up_at_start
from swlb.build import build
from swlb.config import Config, parse
from swlb.devices import namespace
from swlb.errors import SwlbError
from swlb.events import Events
from swlb.ports import Ports, opened

pytestmark = pytest.mark.root

VNET_LEN = 10
CHANGED_MTU = 1400

Document = dict[str, Any]
Change = Callable[[Document], None]


class Host:
    """A namespace that swlb runs in, one with the ports' ends, and the ports of a configuration that changes."""

    def __init__(self, home: str, ends: str, document: Document) -> None:
        self.home, self.ends = home, ends
        self.document = document
        self.events = Events()
        self.ports = Ports({})
        self.built: Any = None

    def parsed(self, *changes: Change) -> Config:
        """The configuration as it would be after the changes."""
        document = json.loads(json.dumps(self.document))
        for change in changes:
            change(document)
        return parse(json.dumps(document), file="test.yaml", namespaces={self.ends})

    def start(self, stack: ExitStack) -> None:
        config = self.parsed()
        self.ports = stack.enter_context(opened(config))
        self.built = build(config, self.ports.devices(), up_at_start=up_at_start(config), ring=False)
        self.ports.listen(config, self.built.key)

    def reload(self, *changes: Change) -> None:
        """The changed configuration is in force."""
        config = self.parsed(*changes)
        with self.ports.prepare(config) as prepared:
            devices, macs = prepared.devices(), prepared.macs
            self.built = build(config, devices, macs=macs, up_at_start=up_at_start(config), ring=False)
            prepared.commit(self.built, self.events)
        for change in changes:
            change(self.document)

    def refuse(self, *changes: Change) -> str:
        """Why the changed configuration cannot be had."""
        with pytest.raises(SwlbError) as refused:
            self.ports.prepare(self.parsed(*changes))
        return str(refused.value)

    def links(self, where: str) -> dict[str, Any]:
        """The devices in the namespace by name, without `lo`."""
        return {link["ifname"]: link for link in _ip(where, "-details link show") if link["ifname"] != "lo"}

    def addresses(self, device: str = "swlb-inside") -> set[str]:
        (link,) = _ip(self.home, f"address show dev {device}")
        return {f"{entry['local']}/{entry['prefixlen']}" for entry in link["addr_info"]}

    def routes(self, device: str = "swlb-inside") -> set[str]:
        """The routes by the device, apart from those of the IPv6 multicast."""
        rows = _ip(self.home, f"-4 route show dev {device}") + _ip(self.home, f"-6 route show dev {device}")
        return {f"{row['dst']} via {row['gateway']}" if "gateway" in row else row["dst"] for row in rows}

    def neighbours(self, device: str = "swlb-inside") -> set[str]:
        """Those that were set by hand."""
        return {row["dst"] for row in _ip(self.home, f"neigh show dev {device} nud permanent")}

    def everything(self) -> list[Any]:
        """What can be told from outside of the two namespaces, and of the ports."""
        shown = [_ip(where, what) for where in (self.home, self.ends) for what in SHOWN]
        return [*shown, {name: (port.segment, port.twin) for name, port in self.ports.opened.items()}, self.ports.macs]


SHOWN = ("-details link show", "address show", "-4 route show table all", "-6 route show table all", "neigh show")


def _ip(where: str, command: str) -> list[Any]:
    rows = json.loads(ip(where, f"-json {command}") or "[]")
    return [{key: value for key, value in row.items() if key != "stats"} for row in rows]


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def host(make_netns) -> Iterator[Host]:
    """Two routed segments with two ports each; the test is in the namespace that swlb runs in."""
    home, ends = make_netns(), make_netns()
    ports = {name: {"tap": f"sw-{name}", "netns": ends} for name in ("client", "other", "web1", "web2")}
    segments = {
        "outside": {"ports": ["client", "other"], "addresses": ["10.0.1.1/24", "fd00:1::1/64"]},
        "inside": {"ports": ["web1", "web2"], "addresses": ["10.0.2.1/24", "fd00:2::1/64"]},
    }
    routes = [{"to": "10.9.0.0/16", "via": "10.0.2.254"}, {"to": "fd00:9::/64", "via": "fd00:2::fe"}]
    service = {
        "vip": ["10.0.1.100", "fd00:1::100"],
        "port": 80,
        "check": {"type": "tcp", "via": "vip"},
        "servers": {"web1": {"address": "10.0.2.11"}, "web1v6": {"address": "fd00:2::11"}},
    }
    document = {"limits": {"sessions": 100}, "ports": ports, "segments": segments, "routes": routes,
                "services": {"web": service}}  # fmt: skip
    made = Host(home, ends, document)
    with namespace(home), ExitStack() as stack:
        made.start(stack)
        yield made


# ---- changes ----


def set_to(value: object, *path: str | int) -> Change:
    """The entry at the path is the value."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def without(*path: str | int) -> Change:
    """There is no entry at the path."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def addresses(*texts: str, segment: str = "inside") -> Change:
    return set_to(list(texts), "segments", segment, "addresses")


def members(segment: str, *names: str) -> Change:
    return set_to(list(names), "segments", segment, "ports")


def port(host: Host, name: str, **entry: object) -> Change:
    return set_to({"tap": f"sw-{name}", "netns": host.ends} | entry, "ports", name)


WITHOUT_WEB2 = (without("ports", "web2"), members("inside", "web1"))


# ---- ports ----


def test_a_port_comes(host):
    host.reload(port(host, "web3"), members("inside", "web1", "web2", "web3"))
    assert "sw-web3" in host.links(host.ends)
    assert host.ports.opened["web3"].segment == "inside"


def test_a_port_goes(host):
    host.reload(*WITHOUT_WEB2)
    assert set(host.links(host.ends)) == {"sw-client", "sw-other", "sw-web1"}


def test_what_does_not_change_is_not_touched(host):
    before = host.everything()
    host.reload()
    assert host.everything() == before


def test_what_is_prepared_and_abandoned_was_never_there(host):
    before, opened_files = host.everything(), files()
    changed = host.parsed(port(host, "web3", mtu=1300), members("inside", "web1", "web3"), without("ports", "web2"),
                          set_to(9000, "ports", "client", "mtu"), set_to(9000, "ports", "other", "mtu"),
                          addresses("10.0.2.2/24", "fd00:2::1/48", "fd00:3::1/64"), set_to([], "routes"),
                          set_to(["10.0.1.101", "fd00:1::101"], "services", "web", "vip"))  # fmt: skip
    host.ports.prepare(changed).abandon()
    assert (host.everything(), files()) == (before, opened_files)
