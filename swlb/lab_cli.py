"""The command line of the labs: `swlb lab list|up|run|down|table`."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from swlb.errors import SwlbError

if TYPE_CHECKING:
    from swlb.lab import Lab
    from swlb.lab.voice import Voice

# What is needed besides click is imported by the commands themselves, so that `swlb show` does not wait for it.

name_argument = click.argument("name", metavar="NAME")
as_option = click.option("--as", "other_name", metavar="OTHER", help="Call it otherwise: it can be there twice.")


@click.group(short_help="A swlb with client and servers in network namespaces (root).")
def lab() -> None:
    """Labs: a swlb with a client and servers in network namespaces of their own (root).

    \b
    swlb lab list           which there are
    swlb lab run routed     see one prove its point; nothing is left behind
    swlb lab up routed      play with one
    swlb lab down routed    end it, also after a crash
    swlb lab table          run all; a table of who sees what in which mode
    """


@lab.command(name="list")
def list_labs() -> None:
    """Which labs there are, and which are up."""
    from swlb.lab.book import lab_names, load_lab
    from swlb.lab.record import recorded_labs

    recorded = recorded_labs()
    names = lab_names()
    for name in names:
        click.echo(f"{name:<16} {load_lab(name).summary}{'  (up)' if name in recorded else ''}")
    for name in recorded:
        if name not in names:
            click.echo(f"{name:<16} (up; ended by: swlb lab down {name})")


@lab.command()
@name_argument
@as_option
def run(name: str, other_name: str | None) -> None:
    """Bring lab NAME up, prove its point, and tidy up. Exit code 1 when something is not as expected."""
    from swlb.lab import Lab
    from swlb.lab.book import load_lab
    from swlb.lab.in_short import values_of
    from swlb.lab.voice import Voice

    page, say = load_lab(name), Voice()
    began = time.monotonic()
    with _stopped_by_signals(), Lab(other_name or name) as lab, _log_on_failure(lab):
        say.title(f"lab {lab.name}: {page.summary}")
        say.drawing(page.drawing)
        with say.waiting("bringing it up"):
            page.build(lab)
        say(f"up: {len(lab.hosts)} network namespaces, swlb-{lab.name}-*")
        short = page.run(lab, say)
    say.heading("In short")
    say.values(values_of(short))
    say.heading(f"All as expected, and nothing is left behind: {time.monotonic() - began:.1f} s in all.")


@lab.command(short_help="Bring lab NAME up and leave it there.")
@name_argument
@as_option
def up(name: str, other_name: str | None) -> None:
    """Bring lab NAME up and leave it there, in the background, until `swlb lab down`."""
    from swlb.lab import Lab
    from swlb.lab.book import load_lab
    from swlb.lab.voice import Voice

    page, say = load_lab(name), Voice()
    with _stopped_by_signals(), Lab(other_name or name) as lab, _log_on_failure(lab):
        say.title(f"lab {lab.name}: {page.summary}")
        say.drawing(page.drawing)
        with say.waiting("bringing it up"):
            page.build(lab)
        lab.leave()
    _say_how_to_go_on(lab, say)


@lab.command()
@name_argument
def down(name: str) -> None:
    """End lab NAME: all that it made is removed, and nothing else. Also after a crash."""
    from swlb.lab import take_down

    for sentence in take_down(name):
        click.echo(sentence, err=True)
    click.echo(f"lab {name} is down; nothing of it is left")


@lab.command(short_help="Run all labs, and print who sees what in each.")
def table() -> None:
    """Run all labs, each by itself, and print in markdown what the ends of a request see in each (a minute or two)."""
    from swlb.lab import Lab
    from swlb.lab.book import lab_names, load_lab
    from swlb.lab.in_short import head_of_table, row_of, values_of
    from swlb.lab.voice import silent_voice

    click.echo(head_of_table())
    for name in lab_names():
        page = load_lab(name)
        with _stopped_by_signals(), Lab(f"{name}-{os.getpid()}") as lab, _log_on_failure(lab):
            page.build(lab)
            short = page.run(lab, silent_voice())
        click.echo(row_of(name, values_of(short)))


def _say_how_to_go_on(lab: "Lab", say: "Voice") -> None:
    service = next(iter(lab.config.services.values()))
    say.heading(f"Lab {lab.name} is up. To go on:")
    for what, command in (
        ("enter a host", f"ip netns exec {lab.hosts['client'].netns} bash"),
        ("ask, in there", f"curl http://{service.vips[0]}/"),
        ("who serves", f"swlb show servers --control {lab.control}"),
        ("and why", f"swlb why {service.name}/{next(iter(service.servers))} --control {lab.control}"),
        ("who serves whom", f"swlb show sessions --control {lab.control}"),
        ("configuration", f"less {lab.file}"),
        ("log", f"tail -f {lab.log}"),
        ("end it", f"swlb lab down {lab.name}"),
    ):
        say(f"{what:<16} {command}")


@contextmanager
def _log_on_failure(lab: "Lab") -> Iterator[None]:
    """What swlb said last is shown when something fails, before the log is removed with the lab."""
    try:
        yield
    except Exception as error:
        if (words := lab.last_words()) and words not in str(error):
            click.echo(f"\nswlb's log ends with:\n{words}\n", err=True)
        raise


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that the lab is tidied up."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # What is ignored stays ignored: nohup means it.
    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    except KeyboardInterrupt:
        raise SwlbError("stopped; nothing of the lab is left") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
