"""A scheduler that somebody has written in Python, for experiments: `scheduler: python:module.Class`.

    class LeastUsed:
        def table(self, servers):
            '''Names of servers, in the order in which they are to get new sessions, over and over.'''
            return [server.name for server in sorted(servers, key=lambda server: server.sessions_total)]

The class is made without arguments, once, and asked for a table whenever a server has changed and every second. It is
asked in a thread of its own: new sessions are given out by the table that it gave last, and never wait for it. Names
may stand in the table as often as they are to be chosen, 65537 in all; one that takes no session now is passed by. With
a `hash_key` the hash of the client names a place of the table; without, places take turns. An empty table: servers take
turns. The module is looked for where Python looks, and beside the configuration file; it is read once, at the start.
"""

import importlib
import sys
import traceback
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

TABLE_LEN = 65537  # ext/tables/owners.pxd
WORDS_LEN = 200  # of what an exception says


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerView:
    """A server as such a class sees it: what it is, whether it takes new sessions now, and what it has."""

    name: str
    address: str
    port: int | None
    weight: int
    backup: bool
    takes: bool
    operational: str
    admin: str
    sessions_active: int
    sessions_inactive: int
    sessions_total: int


class OwnScheduler(Protocol):
    """What such a class has."""

    def table(self, servers: Sequence[ServerView]) -> Iterable[str]:
        """Names of servers, in the order in which they are to get new sessions."""


class NotUsable(Exception):  # noqa: N818  (the class, not what it met)
    """There is no such scheduler, or its answer is none; the text says what is wrong, for a person."""


def look_beside(file: str) -> None:
    """Modules beside the file are found, after all others: none of them hides one of Python's."""
    directory = str(Path(file).absolute().parent)
    if directory not in sys.path:
        sys.path.append(directory)


def load(scheduler: str) -> OwnScheduler:
    """The scheduler of that name, python:module.Class. NotUsable when there is none."""
    module_name, _, class_name = scheduler.partition(":")[2].rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise NotUsable(f"there is no module {error.name}") from None
        raise NotUsable(f"module {module_name} cannot be imported: {said(error)}") from None
    kind: Any = getattr(module, class_name, None)
    if not isinstance(kind, type) or not callable(getattr(kind, "table", None)):
        what = "has no" if kind is None else "has something else than a class with a method `table` as"
        raise NotUsable(f"module {module_name} {what} {class_name}")
    try:
        made: OwnScheduler = kind()
    except (Exception, SystemExit) as error:
        raise NotUsable(f"{class_name}() does not work: {said(error)}") from None
    return made


def table_of(scheduler: OwnScheduler, servers: Sequence[ServerView]) -> list[str]:
    """What the scheduler gives for the servers. NotUsable when it raises, or what it gives is no table of them."""
    try:
        return _checked(scheduler.table(servers), {server.name for server in servers})
    except NotUsable:
        raise
    # Whatever it is, it ends one answer and not the thread that asks.
    except BaseException as error:
        raise NotUsable(said(error)) from None


def _checked(answer: object, known: Collection[str]) -> list[str]:
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise NotUsable(f"it gave {type(answer).__name__}, not a list of servers' names")
    table = list(islice(answer, TABLE_LEN + 1))
    if len(table) > TABLE_LEN:
        raise NotUsable(f"it gave more than {TABLE_LEN} names")
    for name in table:
        if not isinstance(name, str) or name not in known:
            raise NotUsable(f"it named {repr(name)[:WORDS_LEN]}, which is no server of the service")
    return table


def said(error: BaseException) -> str:
    """The exception on one line, with the place that raised it."""
    words = " ".join(str(error).split())[:WORDS_LEN]
    text = f"{type(error).__name__}: {words}" if words else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if frame.filename not in (__file__, importlib.__file__)), None)
    if place is None or "importlib" in place.filename:
        return text
    return f"{text} ({Path(place.filename).name}, line {place.lineno})"
