"""The devices of a configuration that changes, in namespaces of their own, as `ip` and the kernel see them.

No worker runs. One is built for each configuration, as a reload does, and never forwards.
"""

import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from netns.running import ip
from swlb.build import Built, build
from swlb.config import Config, parse
from swlb.devices import namespace
from swlb.errors import SwlbError
from swlb.events import Events
from swlb.ports import Ports, opened
from swlb.prepared import Prepared
from swlb.succession import up_at_start
from swlb.twins import ADDR_GEN_MODE_NONE

Change = Callable[[Any], None]

SHOWN = ("-details link show", "address show", "-4 route show table all", "-6 route show table all", "neigh show")


class Changing:
    """The ports of a configuration, two routed segments with two of them each, and whoever looks at their devices.

    swlb runs in the namespace `home`, where the test is, too; the other ends of the ports are in `ends`.
    """

    def __init__(self, home: str, ends: str, *, workers: int) -> None:
        self.home, self.ends = home, ends
        self.document = _document(ends, workers)
        self.events = Events()
        self.ports = Ports({})
        self.built: Built

    def start(self, stack: ExitStack) -> None:
        """As swlb does; at the end of the stack all devices are closed."""
        config = self.parsed()
        self.ports = stack.enter_context(opened(config))
        self.built = build(config, self.ports.devices(), up_at_start=up_at_start(config), ring=False)
        self.ports.listen(config, self.built.key)

    def build(self, prepared: Prepared) -> Built:
        """Workers over the devices of the next configuration."""
        config = prepared.config
        return build(config, prepared.devices(), macs=prepared.macs, up_at_start=up_at_start(config), ring=False)

    def parsed(self, *changes: Change) -> Config:
        """The configuration as it would be after the changes."""
        document = json.loads(json.dumps(self.document))
        for change in changes:
            change(document)
        return parse(json.dumps(document), file="test.yaml", namespaces={self.ends})

    def reload(self, *changes: Change) -> None:
        """The changed configuration is in force."""
        config = self.parsed(*changes)
        with self.ports.prepare(config) as prepared:
            self.built = self.build(prepared)
            prepared.commit(self.built, self.events)
        for change in changes:
            change(self.document)

    def restore(self) -> None:
        """The first configuration is in force again."""
        self.document = _document(self.ends, self.document["workers"])
        self.reload()

    def refused(self, *changes: Change) -> str:
        """Why the changed configuration cannot be had."""
        with pytest.raises(SwlbError) as refused:
            self.ports.prepare(self.parsed(*changes))
        return str(refused.value)

    def everything(self) -> list[Any]:
        """All that can be told of the ports, and from outside of the two namespaces; and how many files are open."""
        shown = [rows(where, what) for where in (self.home, self.ends) for what in SHOWN]
        gc.collect()  # workers of former configurations have files, too
        told = {name: (port.device.port_name, port.segments, port.twin) for name, port in self.ports.opened.items()}
        return [*shown, told, dict(self.ports.macs), len(os.listdir("/proc/self/fd"))]

    def ends_of_ports(self) -> set[str]:
        """What the devices in `ends` are called."""
        return set(links(self.ends))

    def addresses(self, device: str = "swlb-inside") -> set[str]:
        """Those of a kernel twin."""
        (link,) = rows(self.home, f"address show dev {device}")
        return {f"{entry['local']}/{entry['prefixlen']}" for entry in link["addr_info"]}

    def routes(self, device: str = "swlb-inside") -> set[str]:
        """Those by a kernel twin: networks, with the gateway where there is one."""
        found = rows(self.home, f"-4 route show dev {device}") + rows(self.home, f"-6 route show dev {device}")
        return {f"{row['dst']} via {row['gateway']}" if "gateway" in row else row["dst"] for row in found}

    def neighbours(self, device: str = "swlb-inside") -> set[str]:
        """Those that a kernel twin need not ask for."""
        return {row["dst"] for row in rows(self.home, f"neigh show dev {device} nud permanent")}


def _document(ends: str, workers: int) -> dict[str, Any]:
    """Servers are probed through their VIPs."""
    return {
        "workers": workers,
        "limits": {"sessions": 100},
        "ports": {name: {"tap": f"sw-{name}", "netns": ends} for name in ("client", "other", "web1", "web2")},
        "segments": {
            "outside": {"ports": ["client", "other"], "addresses": ["10.0.1.1/24", "fd00:1::1/64"]},
            "inside": {"ports": ["web1", "web2"], "addresses": ["10.0.2.1/24", "fd00:2::1/64"]},
        },
        "routes": [{"to": "10.9.0.0/16", "via": "10.0.2.254"}, {"to": "fd00:9::/64", "via": "fd00:2::fe"}],
        "services": {
            "web": {
                "vip": ["10.0.1.100", "fd00:1::100"],
                "port": 80,
                "check": {"type": "tcp", "via": "vip"},
                "servers": {"web1": {"address": "10.0.2.11"}, "web1v6": {"address": "fd00:2::11"}},
            },
        },
    }


@contextmanager
def changing(make_netns: Callable[[], str], *, workers: int = 1) -> Iterator[Changing]:
    """Within the block the devices of the configuration are open."""
    made = Changing(make_netns(), make_netns(), workers=workers)
    with namespace(made.ends):
        # Addresses that the kernel makes by itself come into being some time later.
        Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text(ADDR_GEN_MODE_NONE)
    with namespace(made.home), ExitStack() as stack:
        made.start(stack)
        yield made


def rows(where: str, command: str) -> list[Any]:
    """What `ip` answers in that namespace."""
    return json.loads(ip(where, f"-json {command}") or "[]")


def links(where: str) -> dict[str, Any]:
    """The devices in the namespace by name, without `lo`."""
    return {link["ifname"]: link for link in rows(where, "-details link show") if link["ifname"] != "lo"}


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
    """The segment has these addresses."""
    return set_to(list(texts), "segments", segment, "addresses")


def members(segment: str, *names: str) -> Change:
    """The segment has these ports."""
    return set_to(list(names), "segments", segment, "ports")


def routes(*pairs: tuple[str, str]) -> Change:
    """There are these routes: to, via."""
    return set_to([{"to": to, "via": via} for to, via in pairs], "routes")
