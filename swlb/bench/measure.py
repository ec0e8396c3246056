"""A whole run: what is chosen and possible, the measuring with its progress, what is printed and written."""

import fnmatch
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from swlb.errors import SwlbError, WrongWords

from .figure import Figure
from .machine import TOOLS, facts
from .marks import judge
from .peer import Peer
from .peers import DEFAULT_PEERS, PEERS, missing
from .results import Report, markdown, write, write_json
from .runner import FIGURES, SUBJECT, Results, Runner
from .table import Column, report
from .topology import Topology

ROUNDS, QUICK_ROUNDS = 5, 1
SECONDS, QUICK_SECONDS = 2, 1
# Of what is not a terminal: a dozen peers beside each other.
WIDTH = 175


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for. No names: every peer that is installed; no figures: all of them."""

    rounds: int
    seconds: int
    peers: Sequence[str] = ()
    figures: Sequence[str] = ()
    base: str = "nft"
    json: Path | None = None
    plot: Path | None = None
    results: Path | None = None


def run(wanted: Wanted) -> int:
    """All is measured, printed and written; the exit code. Raises SwlbError when it cannot begin."""
    console = wide_console()
    figures = chosen_figures(wanted.figures)
    peers, absent = chosen_peers(wanted.peers)
    known_peers([wanted.base])
    check_machine()
    if wanted.plot:
        from .plot import check_plotting
        check_plotting()
    begun, machine = time.monotonic(), facts()
    end_in_order()
    results, measured = measure(peers, figures, console, rounds=wanted.rounds, seconds=wanted.seconds)
    results.skipped[:0] = absent
    columns = [Column(peer.name, peer.title) for peer in measured]
    verdicts = judge(results.samples, figures)
    done = Report(machine, wanted.rounds, wanted.seconds, figures, columns, results, verdicts)
    show(done, console, took_s=time.monotonic() - begun)
    keep(done, wanted)
    return 1 if results.failures else 0


def chosen_figures(words: Sequence[str]) -> list[Figure]:
    """The figures of those keys, patterns of keys, or first words of keys; for none all that need not be asked for."""
    keys = [figure.key for figure in FIGURES]
    chosen = {word: fnmatch.filter(keys, word) or fnmatch.filter(keys, f"{word}_*") for word in words}
    if unknown := [word for word in words if not chosen[word]]:
        raise WrongWords(f"no figure {', '.join(unknown)}; there are: {' '.join(keys)}")
    asked_for = set(chain.from_iterable(chosen.values()))
    return [figure for figure in FIGURES if figure.key in asked_for or not (words or figure.on_request)]


def chosen_peers(names: Sequence[str]) -> tuple[list[Peer], list[str]]:
    """The peers of those names, each once, and a sentence for each of the others; all that can run for no names.

    A peer that was named has to be possible: WrongWords when it does not exist, SwlbError when programs are missing.
    """
    known_peers(names)
    chosen = [PEERS[name] for name in dict.fromkeys(names or DEFAULT_PEERS)]
    absent = {peer.name: f"{peer.title}: missing {', '.join(lacks)}" for peer in chosen
              if (lacks := missing(peer.tools))}
    if names and absent:
        raise SwlbError("\n".join(absent.values()))
    return [peer for peer in chosen if peer.name not in absent], list(absent.values())


def known_peers(names: Sequence[str]) -> None:
    """Each is the name of a peer, installed or not; WrongWords otherwise."""
    if unknown := [name for name in names if name not in PEERS]:
        raise WrongWords(f"no peer {', '.join(unknown)}; there are: {' '.join(PEERS)}")


def check_machine() -> None:
    """Everything that every peer needs is there; SwlbError with a list of what is not."""
    if lacks := missing(TOOLS):
        raise SwlbError(f"missing: {', '.join(lacks)}")
    if os.geteuid() != 0:
        raise SwlbError("network namespaces need root")


def end_in_order() -> None:
    """An end by a signal passes through the topology's clean-up like any other."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda code, _: sys.exit(128 + code))


def measure(peers: Sequence[Peer], figures: Sequence[Figure], console: Console, *, rounds: int,
            seconds: int) -> tuple[Results, list[Peer]]:
    """What all rounds gave, and the peers that took part; nothing of the topology is left."""
    own = any(peer.name == SUBJECT for peer in peers)
    needed = list(peers) if any(not figure.own for figure in figures) else []
    with Topology() as topology:
        runner = Runner(topology, seconds=seconds, chosen=[figure.key for figure in figures])
        for peer in needed:
            console.print(f"{peer.title}: {runner.start(peer)}", style="dim", markup=False, highlight=False)
        steps = list(runner.plan(rounds, own=own))
        with progress(console, len(steps)) as (begins, ends):
            for step in steps:
                begins(f"round {step.round} of {rounds}: {step.title}")
                ends(runner.take(step))
        return runner.results, [setup.peer for setup in runner.setups]


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


def show(done: Report, console: Console, *, took_s: float) -> None:
    """Tables, below them what is missing and whatever went wrong, and what the run was made with."""
    results, machine = done.results, done.machine
    console.print(report(results.samples, done.figures, done.columns, done.verdicts, subject=SUBJECT))
    for sentence in results.skipped:
        console.print(f"skipped: {sentence}", style="yellow", markup=False, highlight=False)
    for failure in results.failures:
        console.print(f"failed: {failure}", style="red", markup=False, highlight=False)
    console.print(f"Rounds: {done.rounds}, {done.seconds} s a measurement, {took_s:.0f} s in all; Linux "
                  f"{machine['kernel']}, {machine['cores']} cores shared by all; commit {machine['commit']}",
                  style="dim", highlight=False)


def keep(done: Report, wanted: Wanted) -> None:
    """The files that were asked for are written, and their paths printed."""
    if wanted.json:
        write_json(wanted.json, done)
        print(wanted.json)
    if wanted.results:
        write(wanted.results, markdown(done))
        print(wanted.results)
    if wanted.plot:
        from .plot import draw
        draw(done, wanted.plot, base=wanted.base)
        print(wanted.plot)


def wide_console() -> Console:
    """The terminal, or a log with room for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
