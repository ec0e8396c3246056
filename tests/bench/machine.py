"""Where and with what a run was made: tools that are missing, and the facts that belong beside the numbers."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from .peers import ROOT, Peer

# What every peer needs: `ip netns` and the rest of the topology, the servers, the load.
TOOLS = ("ip", "sysctl", "setpriv", "nft", "nginx", "curl", "iperf3", "wrk", "sockperf")
VERSIONS = {
    "nftables": ("nft", "--version"),
    "haproxy": ("haproxy", "-v"),
    "nginx": ("nginx", "-v"),
    "iperf3": ("iperf3", "--version"),
    "wrk": ("wrk", "-v"),
    "sockperf": ("sockperf", "--version"),
}


def missing_tools(peers: Sequence[Peer]) -> list[str]:
    """The programs and files the run needs and the machine lacks."""
    needed = dict.fromkeys([*TOOLS, *(tool for peer in peers for tool in peer.tools)])
    return [tool for tool in needed if not (Path(tool).exists() if tool.startswith("/") else shutil.which(tool))]


def facts() -> dict[str, object]:
    """Date, kernel, cores, commit and versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "commit": _output(("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12")) or "unknown",
        "versions": {"swlb": _own_version(), **{name: _version(argv) for name, argv in VERSIONS.items()}},
    }


def _own_version() -> str:
    try:
        return metadata.version("swlb")
    except metadata.PackageNotFoundError:
        return "not installed"


def _version(argv: Sequence[str]) -> str:
    return (_output(argv).splitlines() or ["not installed"])[0].strip()


def _output(argv: Sequence[str]) -> str:
    """What the command printed, on either stream: some print their version as an error, with exit code 1."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=5, check=False)
    except OSError:
        return ""
    return "" if done.stdout.startswith("fatal:") else done.stdout.strip()
