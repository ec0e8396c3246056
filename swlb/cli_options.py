"""What several commands take."""

from pathlib import Path

import click

DEFAULT_CONTROL = Path("/run/swlb.sock")

control_option = click.option(
    "--control",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONTROL,
    show_default=True,
    help="The running swlb's socket.",
)
file_argument = click.argument("file", type=click.Path(path_type=Path))
