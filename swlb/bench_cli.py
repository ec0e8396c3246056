"""The command line of the benchmark: `swlb bench`."""

import sys
from pathlib import Path

import click

# What is needed besides click is imported by the command itself, so that `swlb show` does not wait for it.

file_path = click.Path(dir_okay=False, path_type=Path)


def words(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """"a,b,c" as words."""
    return tuple(word for word in (value or "").split(",") if word)


@click.command(short_help="Measure swlb beside its peers and print ratios (root).")
@click.option("--rounds", type=click.IntRange(min=1), help="How often all is measured.  [default: 5]")
@click.option("--seconds", type=click.IntRange(min=1), help="How long each load lasts.  [default: 2]")
@click.option("--quick", is_flag=True, help="One round, one second a measurement: a look, not a result.")
@click.option("--peers", metavar="A,B", callback=words, help="Which to measure.  [default: all that are installed]")
@click.option("--figures", metavar="A,B", callback=words, help="Which figures, by key; 'tcp_*' is a pattern.  "
                                                               "[default: all but syn_flood]")
@click.option("--json", "json_file", type=file_path, help="Every sample goes here.")
@click.option("--plot", type=file_path, help="A picture (PNG) goes here.")
@click.option("--base", default="nft", show_default=True, help="The peer the picture is relative to.")
@click.option("--results", type=file_path, help="The tables as markdown go here.")
@click.option("--profile", is_flag=True, help="Instead, say where swlb's worker spends its time (needs perf).")
def bench(rounds: int | None, seconds: int | None, quick: bool, peers: tuple[str, ...], figures: tuple[str, ...],
          json_file: Path | None, plot: Path | None, base: str, results: Path | None, profile: bool) -> None:
    """Measure swlb beside what a user would pick instead, interleaved, and print ratios (root).

    Client, balancer and server are network namespaces of this machine; nothing of it is touched.
    Exit code 0: all was measured; 1: something is missing or failed, and is named; 2: wrong words.

    \b
    swlb bench --quick                          a look, two to three minutes
    swlb bench --peers swlb,nft,haproxy         some of the peers
    swlb bench --figures 'tcp_*,connections'    some of the figures
    swlb bench --figures syn_flood              what 100,000 SYNs a second break, for 20 s
    swlb bench --profile                        where the time goes
    """
    from swlb.bench import measure

    rounds = rounds or (measure.QUICK_ROUNDS if quick else measure.ROUNDS)
    seconds = seconds or (measure.QUICK_SECONDS if quick else measure.SECONDS)
    if profile:
        from swlb.bench.profile import run_profile
        sys.exit(run_profile(seconds=seconds))
    sys.exit(measure.run(measure.Wanted(rounds, seconds, peers, figures, base, json_file, plot, results)))
