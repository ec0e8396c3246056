"""`python -m tests.bench`: swlb beside its peers in one interleaved run, as a table and, if asked for, as JSON.

Exit codes: 0 all measured, 1 something is missing or failed (it is named), 2 wrong words.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .commands import BenchError
from .machine import facts, missing_tools
from .peers import PEERS, Peer
from .runner import FIGURES, Results, Runner, plan, start
from .table import Column, report
from .topology import Topology

SUBJECT = "swlb"
SECONDS = 2
QUICK_SECONDS = 1
WIDTH = 132


def chosen_peers(context: click.Context, option: click.Parameter, value: str) -> list[Peer]:
    """The peers named in "a,b,c", each once."""
    names = dict.fromkeys(value.split(","))
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; expected some of {','.join(PEERS)}")
    return [PEERS[name] for name in names]


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1), help="How often all is measured.")
@click.option("--quick", is_flag=True, help="One round, one second a measurement: a look, not a result.")
@click.option("--peers", default=",".join(PEERS), show_default=True, callback=chosen_peers, help="Which to measure.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Raw samples go here.")
def main(rounds: int, quick: bool, peers: list[Peer], json_file: Path | None) -> None:
    """Measure swlb beside a direct link, nftables, HAProxy and nginx, interleaved, and print ratios."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    check_machine(peers)
    rounds, seconds = (1, QUICK_SECONDS) if quick else (rounds, SECONDS)
    begun, machine = time.monotonic(), facts()
    # An end by a signal has to pass through the topology's clean-up like any other.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda code, _: sys.exit(128 + code))
    try:
        results = measure(peers, console, rounds=rounds, seconds=seconds)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    show(results, peers, console)
    console.print(f"Rounds: {rounds}, {seconds} s a measurement, {time.monotonic() - begun:.0f} s in all; Linux "
                  f"{machine['kernel']}, {machine['cores']} cores shared by all; commit {machine['commit']}",
                  style="dim", highlight=False)
    if json_file:
        write_json(json_file, machine, results, rounds=rounds, seconds=seconds)
    sys.exit(1 if results.failures else 0)


def check_machine(peers: Sequence[Peer]) -> None:
    """Everything the run needs is there, or the run ends with a list of what is not."""
    if missing := missing_tools(peers):
        raise click.ClickException(f"missing: {', '.join(missing)}")
    if os.geteuid() != 0:
        raise click.ClickException("network namespaces need root")


def measure(peers: Sequence[Peer], console: Console, *, rounds: int, seconds: int) -> Results:
    """All rounds, with the progress shown; nothing of the topology is left."""
    with Topology() as topology:
        setups = start(peers, topology, tell=lambda text: console.print(text, style="dim"))
        steps = list(plan(setups, rounds))
        runner = Runner(topology, setups, seconds=seconds)
        with progress(console, len(steps)) as (begins, ends):
            for step in steps:
                begins(f"round {step.round} of {rounds}: {step.title}")
                ends(runner.take(step))
    return runner.results


@contextmanager
def progress(console: Console, total: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Two functions to call as a step begins and ends: a bar on a terminal, a line for each step in a log."""
    columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    # Drawn only between steps: a thread that redraws would take processor time from what is measured.
    with Progress(*columns, console=console, transient=True, auto_refresh=False,
                  disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        title = ""

        def begins(text: str) -> None:
            nonlocal title
            title = text
            bar.update(task, description=text, refresh=True)

        def ends(text: str) -> None:
            bar.advance(task)
            if not console.is_terminal:
                print(f"{int(bar.tasks[task].completed):>4} of {total}  {title}: {text}", flush=True)

        yield begins, ends


def show(results: Results, peers: Sequence[Peer], console: Console) -> None:
    """Tables, and below them whatever went wrong."""
    columns = [Column(peer.name, peer.title) for peer in peers]
    console.print(report(results.samples, FIGURES, columns, subject=SUBJECT))
    for failure in results.failures:
        console.print(f"failed: {failure}", style="red", markup=False)


def write_json(path: Path, machine: dict[str, object], results: Results, *, rounds: int, seconds: int) -> None:
    """Every sample with what is needed to judge it."""
    content = {**machine, "rounds": rounds, "seconds": seconds, "figures": [asdict(figure) for figure in FIGURES],
               "samples": results.samples.raw(), "remarks": results.remarks, "failures": results.failures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
