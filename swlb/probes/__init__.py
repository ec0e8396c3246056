"""Probes: one server asked once. I/O without logic: what an outcome means is decided in swlb/health.py.

Each kind is a module with a function of its name: `await kind(check, target, way)` is how one probe ended, after at
most `check.response` seconds. outcome.py says what a probe asks and how it ends, reach.py is what all kinds share.
"""

import asyncio
from importlib import import_module
from typing import Protocol

from swlb.config import Check
from swlb.probes.outcome import Outcome, Target
from swlb.probes.reach import Way

__all__ = ["Outcome", "Probe", "Target", "Way", "probe_of"]

KINDS = ("tcp", "icmp", "http", "https", "tls", "udp", "dns", "script", "exec", "agent")


class Probe(Protocol):
    """One kind of probe."""

    async def __call__(self, check: Check, target: Target, way: Way) -> Outcome:
        """How one probe of `target` ended, after at most `check.response` seconds."""


def probe_of(kind: str) -> Probe:
    """The probe of that kind. Only what a configuration uses is imported: aiohttp and dpkt take longer than swlb."""
    probe: Probe = getattr(import_module(f"swlb.probes.{kind}"), kind)

    async def everywhere(check: Check, target: Target, way: Way) -> Outcome:
        if way.also is None:
            return await probe(check, target, way)
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(probe(check, *each)) for each in ((target, way), way.also)]
        return worse(*(task.result() for task in both))

    return everywhere


def worse(one: Outcome, other: Outcome) -> Outcome:
    """Of two the one that is not good; of two good ones the slower."""
    return max(one, other, key=lambda outcome: (not outcome.ok, outcome.duration_ms))
