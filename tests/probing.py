"""How probes are carried out in tests: each must leave nothing open, and some run inside a namespace."""

import asyncio
import gc
import subprocess
from collections.abc import Coroutine

from swlb.config import Check
from swlb.config.values import Address
from swlb.namespaces import namespace
from swlb.probes import Outcome, Target, Way, probe_of
from tests.answering import descriptors


def ask(
    kind: str, target: Target, *, device: str | None = None, source: Address | None = None, **keys: object
) -> Coroutine[None, None, Outcome]:
    """One probe of that kind, with those keys of a check."""
    return probe_of(kind)(Check(type=kind, **keys), target, Way(device, source))


def probed(steps: Coroutine[None, None, Outcome]) -> Outcome:
    """The outcome of one probe; it has left no descriptor open."""

    async def run() -> Outcome:
        # What earlier tests left to the garbage collector may be closed at any time.
        gc.collect()
        before = descriptors()
        outcome = await steps
        assert descriptors() <= before
        return outcome

    return asyncio.run(run())


def inside(netns: str, command: str) -> None:
    """The command has run inside a namespace, without an error."""
    subprocess.run(["ip", "netns", "exec", netns, *command.split()], check=True)


def probed_in(netns: str, probe: Coroutine[None, None, Outcome]) -> Outcome:
    """The outcome of a probe from inside a namespace."""
    with namespace(netns):
        return probed(probe)
