"""The command line: `swlb check|doctor|run|show|why|set|flush|plan|reload|lab|bench|decap`.

Exit codes: 0 done, 1 not done, 2 wrong words, 3 not running.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from swlb import __version__
from swlb.bench_cli import bench
from swlb.cli_options import control_option, file_argument
from swlb.decap_cli import decap
from swlb.errors import SwlbError
from swlb.lab_cli import lab
from swlb.reload_cli import plan, reload

FOR_EVER = "for ever"  # what --wait says without a duration
NOUNS = ("services", "servers", "sessions", "decisions", "persistence", "fdb", "neighbours", "ports", "drops", "events",
         "health", "timeouts")  # fmt: skip

# By what the rows of a noun may be chosen.
OF_OTHERS = {"client", "service", "server", "limit"}
CHOSEN_BY = {"sessions": OF_OTHERS | {"state", "protocol"}, "decisions": OF_OTHERS, "persistence": OF_OTHERS}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="swlb")
def cli() -> None:
    """A userspace L2/L3 switch that is a load balancer.

    \b
    Begin here:
      swlb lab run routed       see it balance, with a drawing (root)
      swlb check FILE           what a configuration means, or what is wrong with it
      swlb check --timing FILE  how soon its checks notice that a server fails
      swlb doctor FILE          what its servers must have set
      swlb run FILE             balance (root); "ready" is printed when it does
      swlb show servers         who serves
      swlb show health          what checks say of them, and what happens next
      swlb show decisions       why the last new sessions went where they did
      swlb why web/web1         why this server takes new sessions, or none
      swlb plan FILE            what a reload of FILE would change
      swlb reload FILE          go over to FILE; sessions go on
    """


@cli.command()
@file_argument
@click.option("--timing", is_flag=True, help="How long until each check notices that a server fails, or is well again.")
@click.option("--json", "as_json", is_flag=True, help="With --timing: one list of objects, for programs.")
@control_option
def check(file: Path, timing: bool, as_json: bool, control: Path) -> None:
    """Say what FILE means, or everything that is wrong with it (exit 2). Nothing is created.

    With --timing, say how soon each service's check takes a server out that refuses, is silent or is too slow, and how
    soon it takes it in again: at best and at worst, and which of the timers decides.
    """
    if as_json and not timing:
        raise click.UsageError("--json goes with --timing")
    from swlb.config import load

    config = load(file)
    if not timing:
        from swlb.explain import explain

        click.echo(explain(config), nl=False)
        return
    from swlb.timing_table import print_timing, timing_rows

    rows = timing_rows(config)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        print_timing(rows)


@cli.command(short_help="Print the commands that the servers of FILE need.")
@file_argument
@click.option("--json", "as_json", is_flag=True, help="One list of objects, for programs.")
def doctor(file: Path, as_json: bool) -> None:
    """Print the commands that the servers of FILE need for its services to work. Nothing is run.

    They are grouped by server, and what is printed is a shell script whose comments say why.
    """
    from swlb.config import load
    from swlb.doctor import diagnose, prescription, rows

    patients = diagnose(load(file))
    click.echo(json.dumps(rows(patients), indent=1) if as_json else prescription(patients), nl=as_json)


@cli.command(short_help="Run FILE in the foreground until SIGTERM or Ctrl-C.")
@file_argument
@control_option
@click.option("-v", "--verbose", is_flag=True, help="Log more than changes.")
@click.option(
    "--io",
    type=click.Choice(["auto", "plain"]),
    default="auto",
    show_default=True,
    help="auto: io_uring where the kernel allows it; plain: a system call for each frame.",
)
def run(file: Path, control: Path, verbose: bool, io: str) -> None:
    """Run in the foreground until SIGTERM or Ctrl-C; devices are then as before.

    Prints "ready" on a line of its own once frames are forwarded. The log goes to stderr. SIGHUP does what
    `swlb reload` does.
    """
    import asyncio

    from swlb.app import run as run_app
    from swlb.config import load

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    asyncio.run(run_app(load(file), control, file=file.absolute(), ring=io == "auto"))


@cli.command()
@click.argument("noun", type=click.Choice(NOUNS), metavar="NOUN")
@click.option("--json", "as_json", is_flag=True, help="One list of objects, for programs.")
@click.option("--client", metavar="ADDRESS|PREFIX", help="Only what is of this client, or of clients in this network.")
@click.option("--service", help="Only what is of this service.")
@click.option("--server", metavar="SERVICE/SERVER", help="Only what is of this server.")
@click.option("--state", help="Only sessions in this state, as ESTABLISHED or TWO_WAY.")
@click.option("--protocol", metavar="tcp|udp|icmp", help="Only sessions of this protocol.")
@click.option("--limit", metavar="N", help="So many rows at most; of decisions the last.")
@control_option
def show(noun: str, as_json: bool, control: Path, **asked: str | None) -> None:
    """Show what a running swlb knows and counts.

    Sessions, decisions and persistence are shown in whole, or chosen by the options below.

    \b
    services    what each balances, and its sums
    servers     who serves: admin state, health, weight, sessions
    health      each check of each server: its last probes, what happens next
    sessions    who is served by whom, as they are found
    decisions   why the last new sessions were given to the servers they have
    persistence which clients come back to which server, and until when
    fdb         which station is behind which port
    neighbours  which MAC an address has
    ports       devices, VLANs of them, and their counters
    drops       frames that went no further, by reason
    events      what has happened, and why
    timeouts    how long what is idle is kept, where a service has no timeouts of its own
    """
    from urllib.parse import urlencode

    query = {name: word for name, word in asked.items() if word is not None}
    for name in query.keys() - CHOSEN_BY.get(noun, set()):
        allowed = ", ".join(other for other, names in CHOSEN_BY.items() if name in names)
        raise click.UsageError(f"--{name} goes with {allowed}, not with {noun}")
    target = f"/show/{noun}?{urlencode(query)}" if query else f"/show/{noun}"
    if noun == "sessions":
        from swlb.long_table import print_told

        print_told(control, target, noun, as_json=as_json)
        return
    from swlb.client import ask

    rows = ask(control, "GET", target)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from swlb.tables import print_table

    print_table(noun, rows, chosen=bool(query))


@cli.command(short_help="Say why a server takes new sessions now, or takes none.")
@click.argument("server", metavar="SERVICE/SERVER")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@control_option
def why(server: str, as_json: bool, control: Path) -> None:
    """Say in one sentence why a server takes new sessions now, or takes none.

    Told are its admin state, its weight, its agent's words, its checks and its clients' evidence, as far as each keeps
    it from new sessions, and what happens next.
    """
    from swlb.client import ask

    told = ask(control, "GET", f"/why/{quote(server)}")
    click.echo(json.dumps(told, indent=1) if as_json else told["sentence"])


@cli.group(name="set")
def set_group() -> None:
    """Change a running swlb."""


@set_group.command(name="server")
@click.argument("server", metavar="SERVICE/SERVER")
@click.argument("order", metavar="ready|drain|maint|weight=N|weight=N%")
@click.option(
    "--wait",
    "patience",
    is_flag=False,
    flag_value=FOR_EVER,
    metavar="[DURATION]",
    help="With drain, maint or weight=0: return when its last session is gone (exit 0), or the time is over (exit 1).",
)
@control_option
def set_server(server: str, order: str, patience: str | None, control: Path) -> None:
    """Change a server's admin state or weight.

    \b
    ready      takes new sessions when its check says up
    drain      no new sessions; known ones go on, and so does its check
    maint      as down, by order: nothing is sent to it, it is not checked
    weight=N   0 to 65535; 0 takes no new sessions; N% is of the configured weight

    What the server's agent says stands beside this: of both admin states the stronger holds.

    \b
    swlb set server web/web1 drain --wait 30s && systemctl stop web    # on web1, say
    --wait without a duration waits as long as it takes. Ctrl-C ends the wait, not the drain.
    """
    from swlb.client import ask
    from swlb.waiting import read_patience, wait_until_idle

    limit = None if patience is None else read_patience(order, None if patience == FOR_EVER else patience)
    click.echo(ask(control, "POST", "/set/server", {"server": server, "order": order})["done"])
    if limit is not None:
        click.echo(wait_until_idle(lambda: ask(control, "GET", f"/why/{quote(server)}"), limit))


@cli.command(short_help="Forget stations, neighbours, sessions or persistence.")
@click.argument("table", type=click.Choice(["fdb", "neighbours", "sessions", "persistence"]))
@click.option("--segment", help="Only this segment's (fdb, neighbours).")
@click.option("--service", help="Only this service's (sessions, persistence).")
@click.option("--server", metavar="SERVICE/SERVER", help="Only this server's (sessions, persistence).")
@control_option
def flush(table: str, segment: str | None, service: str | None, server: str | None, control: Path) -> None:
    """Forget stations, neighbours, sessions, or who comes back to which server (persistence).

    Without persistence a client's sessions go on, and its next one is scheduled anew.
    """
    of_segments = table in ("fdb", "neighbours")
    if (segment and not of_segments) or (of_segments and (service or server)):
        allowed = "--segment goes with fdb and neighbours, --service and --server with sessions and persistence"
        raise click.UsageError(allowed)
    from swlb.client import ask

    chosen: dict[str, Any] = {"segment": segment, "service": service, "server": server}
    flushed = ask(control, "POST", f"/flush/{table}", chosen)["flushed"]
    click.echo(f"{flushed} {'clients' if table == 'persistence' else table} flushed")


cli.add_command(reload)
cli.add_command(plan)
cli.add_command(lab)
cli.add_command(bench)
cli.add_command(decap)


def main() -> None:
    """What the `swlb` command runs."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except SwlbError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
