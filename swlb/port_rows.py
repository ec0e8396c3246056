"""What `swlb show ports` tells: devices, and VLANs of them that are ports of their own."""

from collections.abc import Mapping
from typing import Any

from swlb.build import Built
from swlb.config import Config
from swlb.opening import Port

VLAN = "vlan"  # the kind of a port that is a VLAN of another, and has no device of its own

Row = dict[str, Any]


def port_rows(config: Config, opened: Mapping[str, Port], built: Built) -> list[Row]:
    """One row a port, kernel twins included; behind one with VLANs a row for each. It counts their frames, too."""
    rows = []
    for name, port in opened.items():
        rows.append(_row(name, port.kind, port, built))
        rows += [_row(vlan, VLAN, port, built) for vlan in _vlans(config, name)]
    return rows


def _vlans(config: Config, port: str) -> list[str]:
    """The VLANs of the port that segments name."""
    names = (name for segment in config.segments.values() for name in segment.ports)
    return [name for name in names if config.member(name).vid and config.member(name).port == port]


def _row(name: str, kind: str, port: Port, built: Built) -> Row:
    figures = built.workers.port(built.ports[name])
    state = "lost" if figures.pop("lost") else "up" if figures["up"] else "down"
    del figures["up"]
    mtu = figures.pop("mtu")
    about = {"port": name, "kind": kind, "device": port.state.device, "state": state, "io": figures.pop("io")}
    where = {"netns": port.device.netns, "offloads": list(port.device.offloads)}
    return {**about, "mtu": mtu, **where, **figures}
