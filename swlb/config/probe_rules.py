"""What a check must say so that a probe of its type can ask something."""

import os
from collections.abc import Iterator

from swlb.config.check_models import ONE_KEY_EACH
from swlb.config.models import Config, placed_checks
from swlb.config.source import Finding, show

# The types that ask nothing without this key, and what it may look like.
NEEDS = {
    "script": ("steps", '[{send: "PING\\r\\n"}, {expect: "+PONG"}]'),
    "exec": ("command", "[/usr/local/bin/is-ready]"),
}


def checks_ask_something(config: Config) -> Iterator[Finding]:
    """A script has steps, each with a key, and an exec check has a command."""
    for path, check in placed_checks(config):
        if check.type in NEEDS:
            key, example = NEEDS[check.type]
            if not getattr(check, key):
                yield Finding(path, f"a check of type {check.type} without {key}", f"{key}, such as {example}")
        for index, step in enumerate(check.steps):
            if not step.keys:
                yield Finding((*path, "steps", index), "a step without a key", ONE_KEY_EACH)


def programs_can_be_run(config: Config) -> Iterator[Finding]:
    """The program of an exec check is there, and may be executed."""
    for path, check in placed_checks(config):
        if not check.command:
            continue
        program = check.command[0]
        if not os.path.isfile(program):
            yield Finding((*path, "command"), f"{show(program)}, which is no file here", "the full path of a program")
        elif not os.access(program, os.X_OK):
            found = f"{show(program)}, which may not be executed"
            yield Finding((*path, "command"), found, f"a program; make it one with: chmod +x {program}")

