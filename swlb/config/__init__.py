"""The configuration file: read, checked from end to end, and handed on as a Config. Creates nothing.

    read_yaml (source)               text -> data with lines
    refuse_unknown_keys, config      data -> Config (draft, models, values)
    broken_rules, namespaces_exist   between the values (rules, and the files of rules it names)
    what_is_fixed (reload_rules)     between them and those that swlb runs with

All problems of a file are raised together, as one ConfigError.
"""

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from swlb.config.check_models import Check
from swlb.config.draft import Draft
from swlb.config.models import Config, Gue, Limits, Port, Route, Segment, Server, Service, Timeouts
from swlb.config.reload_rules import what_is_fixed
from swlb.config.rules import broken_rules, namespaces_exist
from swlb.config.schedule_rules import own_schedulers_can_be_loaded
from swlb.config.source import Source, read_yaml
from swlb.config.values import Address, Interface, Network
from swlb.errors import ConfigError, Problem

__all__ = [
    "Address",
    "Check",
    "Config",
    "Gue",
    "Interface",
    "Limits",
    "Network",
    "Port",
    "Route",
    "Segment",
    "Server",
    "Service",
    "Timeouts",
    "existing_namespaces",
    "load",
    "parse",
]

NAMESPACES = Path("/run/netns")  # where iproute2 keeps them


def load(path: str | Path, *, namespaces: Collection[str] | None = None, running: Config | None = None) -> Config:
    """The configuration in the file. ConfigError names everything that is wrong with it.

    Its namespaces must be among those given; without any given, among those of this host. With `running` it must be
    one that a swlb which runs with that can take over.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        found = f"nothing that can be read ({error.strerror})"
        raise ConfigError(Problem(str(path), 0, "", found, "a configuration in YAML")) from None
    except UnicodeDecodeError as error:
        found = f"a byte that is no UTF-8, at offset {error.start}"
        raise ConfigError(Problem(str(path), 0, "", found, "a configuration in YAML, written in UTF-8")) from None
    namespaces = existing_namespaces() if namespaces is None else namespaces
    return parse(text, file=str(path), namespaces=namespaces, running=running)


def parse(
    text: str, *, file: str, namespaces: Collection[str] | None = None, running: Config | None = None
) -> Config:
    """The configuration in the text. ConfigError names everything that is wrong with it.

    `file` is what the messages call it. Without `namespaces`, those of the ports are not looked for.
    """
    with _without_collections():
        return _parsed(text, file, namespaces, running)


def _parsed(text: str, file: str, namespaces: Collection[str] | None, running: Config | None) -> Config:
    source = read_yaml(text, file=file)
    draft = Draft(source.data, source.findings)
    draft.refuse_unknown_keys()
    draft.refuse_foreign_keys()
    draft.refuse_two_needs()
    draft.refuse_unknown_checks()
    config = draft.config()
    if config is not None:
        draft.findings += list(broken_rules(config, draft.is_sound))
        draft.findings += list(namespaces_exist(config, namespaces)) if namespaces is not None else []
        draft.findings += list(own_schedulers_can_be_loaded(config, file))
        draft.findings += list(what_is_fixed(config, running, draft.is_sound)) if running is not None else []
    if draft.findings or config is None:
        raise ConfigError(*_in_order(source))
    return config


@contextmanager
def _without_collections() -> Iterator[None]:
    """Within the block no garbage is looked for: a large file makes a million objects and drops none of them.

    With 65,280 servers that was 3 of 4 seconds of reading it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def existing_namespaces() -> list[str]:
    """The named network namespaces of this host."""
    return sorted(entry.name for entry in NAMESPACES.iterdir()) if NAMESPACES.is_dir() else []


def _in_order(source: Source) -> list[Problem]:
    """The problems as one meets them when reading the file."""
    return sorted((source.problem(finding) for finding in source.findings), key=lambda problem: problem.line)
