"""Where and with what a run was made: tools that are missing, and the facts that belong beside the numbers."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
# What every peer needs: `ip netns` and the rest of the topology, the servers, the load.
TOOLS = ("ip", "sysctl", "setpriv", "nft", "nginx", "curl", "iperf3", "wrk", "sockperf")
VERSIONS = {
    "nftables": ("nft", "--version"),
    "haproxy": ("haproxy", "-v"),
    "nginx": ("nginx", "-v"),
    "iperf3": ("iperf3", "--version"),
    "wrk": ("wrk", "-v"),
    "sockperf": ("sockperf", "--version"),
    "ovs": ("ovs-vswitchd", "--version"),
    "gcc": ("gcc", "--version"),
}


def facts() -> dict[str, object]:
    """Date, kernel, cores, commit and versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "commit": _output(("git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12")) or "unknown",
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
