"""What a running swlb and the kernel count and hold, for the soak to compare."""

import json
from collections.abc import Mapping
from pathlib import Path

from netns.running import Swlb, ip


def usage(swlb: Swlb) -> dict[str, int]:
    """What the process holds."""
    process = Path(f"/proc/{swlb.process.pid}")
    (rss,) = (line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS:"))
    return {"memory": int(rss.split()[1]) << 10, "files": len(list((process / "fd").iterdir())),
            "threads": len(list((process / "task").iterdir()))}


def totals(swlb: Swlb) -> dict[str, int]:
    """Of all ports and reasons: frames that came in, were made, left and were dropped."""
    ports, drops = swlb.show("ports"), swlb.drops()
    return {"in": sum(row["rx_frames"] for row in ports), "made": sum(row["made"] for row in ports),
            "out": sum(row["tx_frames"] for row in ports), "dropped": sum(drops.values())}


def balance(of: Mapping[str, int]) -> int:
    """How many frames too many came in."""
    return of["in"] + of["made"] - of["out"] - of["dropped"]


def device_figure(netns: str, device: str, way: str) -> int:
    """The frames that the kernel counts at the device, tx or rx."""
    (link,) = json.loads(ip(netns, f"-s -json link show {device}"))
    return int(link["stats64"][way]["packets"])


def agrees_with_kernel(swlb: Swlb, port: str) -> bool:
    """Whether what came in by the port of a TAP is what the kernel says was read of it."""
    row = swlb.row("ports", port=port)
    return device_figure(row["netns"], row["device"], "tx") == row["rx_frames"]
