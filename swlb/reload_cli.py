"""The command line of going over to another configuration: `swlb plan` and `swlb reload`."""

import json
from pathlib import Path

import click

from swlb.cli_options import control_option, file_argument

# What is needed besides click is imported by the commands themselves, so that `swlb show` does not wait for it.


@click.command(short_help="Say what a reload of FILE would do. Nothing is changed.")
@file_argument
@click.option("--json", "as_json", is_flag=True, help="One list of objects, for programs.")
@control_option
def plan(file: Path, as_json: bool, control: Path) -> None:
    """Say what a running swlb would do if it were to go over to FILE. Nothing is changed.

    \b
    +  is added         ~  changes, and no session notices
    -  is removed       ±  is replaced: what is there leaves, and another comes
    >  under a scheduler that hashes, this share of clients gets another server

    Of what leaves, it is told how many sessions it has now, and what becomes of them. A configuration with an error,
    or with what a reload may not change, is refused as by `swlb reload`, with exit code 2.

    \b
    --json has a list with an object for each line:
      action           add, remove, change, replace, move
      kind             port, segment, route, service, server, setting, hash space
      name             of a server SERVICE/SERVER
      details          a list of what differs: "weight 1 -> 3"
      sessions         how many there are now of what leaves
      effect           what becomes of them, in words
      moved            of a hash space the share of keys, 0 to 1, that get another server; or null
      moved_of_others  the same of the keys of servers that stay
    """
    from swlb.client import ask

    answer = ask(control, "POST", "/plan", {"file": str(file.absolute())})
    if as_json:
        click.echo(json.dumps(answer["steps"], indent=1))
        return
    from swlb.plan_table import print_plan

    print_plan(answer["steps"], answer["sentence"], file=file)


@click.command(short_help="Have a running swlb go over to FILE, or read its file again.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@control_option
def reload(file: Path | None, control: Path) -> None:
    """Have a running swlb go over to FILE; without FILE, read the file of the last load again.

    Back when the new configuration is in force, with a sentence of what has changed. Sessions, counters and health of
    servers that stay go on, and what has not changed does not notice. A configuration with an error changes nothing:
    its problems are printed, as by `swlb check`, and the exit code is 2. `swlb plan FILE` says beforehand what will be.

    \b
    Fixed at the start, so a reload refuses to change them:
      workers; limits but that of icmp_errors; the device of a port that stays
    """
    from swlb.client import ask

    path = None if file is None else str(file.absolute())
    click.echo(f"reloaded: {ask(control, 'POST', '/reload', {'file': path})['done']}")
