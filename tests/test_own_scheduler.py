"""Schedulers written in Python: found or refused, asked for tables, and harmless whatever they do."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from control import Control, control

from swlb.config import load
from swlb.errors import ConfigError
from swlb.own_tables import OwnTables

CONFIG = """\
mode: routed
limits: {{sessions: 100}}
ports: {{client: {{tap: swc0}}, web: {{tap: sws1}}}}
segments:
  outside: {{ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}}
  inside: {{ports: [web], addresses: [10.0.2.1/24, "fd00:2::1/64"]}}
services:
  web:
    vip: [10.0.1.100, "fd00:1::100"]
    port: 80
    scheduler: python:{module}.{name}
    servers:
      a: {{address: 10.0.2.11, port: 8080}}
      b: {{address: 10.0.2.12, port: 8080, weight: 3}}
      six: {{address: "fd00:2::11", port: 8080}}
"""
LIMIT_S = 10.0
numbers = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function that writes a module beside the configuration and gives its name, which nobody else has."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(text: str) -> str:
        name = f"own_scheduler_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return written


def write(folder: Path, module: str, name: str = "Own") -> Path:
    file = folder / "swlb.yaml"
    file.write_text(CONFIG.format(module=module, name=name), encoding="utf-8")
    return file


def balanced(folder: Path, module: str) -> Control:
    write(folder, module)
    load(folder / "swlb.yaml", namespaces=[])
    return control((folder / "swlb.yaml").read_text(encoding="utf-8"))


class Look:
    """OwnTables, looked through by hand, with time that is moved by hand."""

    def __init__(self, of: Control) -> None:
        self.control = of
        self.tables = OwnTables(of.balancer, of.clock)

    async def until(self, true: Callable[[], bool], *, step: float = 1.0) -> None:
        """Looks until that is so, every `step` seconds of the clock; answers come from another thread."""
        end = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < end, "nothing came"
            await self.control.clock.advance_to(self.control.clock.now() + step)
            self.tables.look()
            await asyncio.sleep(0.002)

    def table(self, family: int = 4) -> list[int]:
        """The worker's, by index of the servers: a and b are 0 and 1."""
        return self.control.built.workers[0].table(0, family)

    def failures(self) -> list[str]:
        return [event["text"] for event in self.control.events.rows() if event["kind"] == "scheduler_failed"]


# ---- found or refused ----


@pytest.mark.parametrize(("text", "name", "found"), [
    ("class Own:\n    def table(self, servers): return []\n", "Other", "has no Other"),
    ("Own = 3\n", "Own", "has something else than a class with a method `table` as Own"),
    ("class Own: pass\n", "Own", "has something else than a class with a method `table` as Own"),
    ("import no_such_module_at_all\n", "Own",
     "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    ("1 / 0\n", "Own", "ZeroDivisionError: division by zero"),
    ("def (:\n", "Own", "SyntaxError"),
    ("raise SystemExit(3)\n", "Own", "SystemExit: 3"),
    ("class Own:\n    def __init__(self, n): pass\n    def table(self, servers): return []\n", "Own",
     "Own() does not work: TypeError"),
])
def test_a_class_that_cannot_be_used_is_refused_with_its_place(tmp_path, module, text, name, found):
    made = module(text)
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, made, name), namespaces=[])
    said = str(error.value)
    assert f"swlb.yaml:11: services.web.scheduler: found python:{made}.{name}: " in said
    assert found in said
    assert "made without arguments" in said


def test_a_module_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no module nowhere_to_be_found"):
        load(write(tmp_path, "nowhere_to_be_found.deep"), namespaces=[])


def test_the_place_of_what_was_raised_is_told(tmp_path, module):
    made = module("\n\nraise ValueError('too\\n many')\n")
    with pytest.raises(ConfigError, match=rf"ValueError: too many \({made}.py, line 3\)"):
        load(write(tmp_path, made), namespaces=[])


def test_a_module_beside_the_file_hides_none_of_pythons(tmp_path, module):
    (tmp_path / "json.py").write_text("raise ValueError\n", encoding="utf-8")
    made = module("import json\nclass Own:\n    def table(self, servers): return json.loads('[]')\n")
    assert load(write(tmp_path, made), namespaces=[]).services["web"].has_own_scheduler


# ---- at work ----


def test_new_sessions_follow_the_table(tmp_path, module):
    made = module("class Own:\n    def table(self, servers): return ['b', 'b', 'six', 'a']\n")
    look = Look(balanced(tmp_path, made))
    assert look.table() == []

    async def work() -> None:
        await look.until(lambda: bool(look.table()))

    asyncio.run(work())
    assert (look.table(4), look.table(6)) == ([1, 1, 0], [2])
    assert look.failures() == []


def test_it_sees_what_servers_are_and_is_asked_when_one_changes(tmp_path, module):
    made = module("""\
class Own:
    def table(self, servers):
        assert [s.name for s in servers] == ['a', 'b', 'six']
        assert [s.weight for s in servers][1:] == [3, 1]
        assert servers[1].address == '10.0.2.12' and servers[1].port == 8080 and not servers[1].backup
        assert servers[2].operational == 'up' and servers[2].sessions_total == 0
        return [s.name for s in servers if s.takes for _ in range(s.weight)]
""")
    look = Look(balanced(tmp_path, made))

    async def work() -> None:
        await look.until(lambda: look.table() == [0, 1, 1, 1])
        look.control.balancer.order("web/a", "drain")
        # While time stands still nothing but the change asks.
        await look.until(lambda: look.table() == [1, 1, 1], step=0.0)
        look.control.balancer.order("web/a", "weight=2")
        look.control.balancer.order("web/a", "ready")
        await look.until(lambda: look.table() == [0, 0, 1, 1, 1], step=0.0)

    asyncio.run(work())
    assert look.failures() == []


@pytest.mark.parametrize(("bad", "told"), [
    ("raise ValueError('no idea')", "ValueError: no idea"),
    ("raise SystemExit", "SystemExit"),
    ("return 'a'", "it gave str, not a list of servers' names"),
    ("return 7", "it gave int, not a list"),
    ("return ['a', 'zoe']", "it named 'zoe', which is no server of the service"),
    ("return [servers[0]]", "which is no server of the service"),
    ("return iter(lambda: 'a', None)", "it gave more than 65537 names"),
])
def test_an_answer_that_is_none_costs_an_event_and_the_table_stays(tmp_path, module, bad, told):
    made = module(f"""\
class Own:
    n = 0
    def table(self, servers):
        self.n += 1
        if 2 <= self.n <= 4:
            {bad}
        return ['a', 'b'] if self.n == 1 else ['b']
""")
    look = Look(balanced(tmp_path, made))

    async def work() -> None:
        await look.until(lambda: look.table() == [0, 1])
        await look.until(lambda: bool(look.failures()))
        assert look.table() == [0, 1]
        await look.until(lambda: look.table() == [1])

    asyncio.run(work())
    # Three times the same is told once.
    assert len(look.failures()) == 1
    assert look.failures()[0].startswith(f"scheduler python:{made}.Own of service web: ")
    assert told in look.failures()[0]


def test_one_that_hangs_is_told_once_and_hinders_nobody(tmp_path, module):
    made = module("""\
import threading
released = threading.Event()
class Own:
    n = 0
    def table(self, servers):
        self.n += 1
        if self.n == 2:
            released.wait()
        return ['a'] if self.n == 1 else ['b']
""")
    look = Look(balanced(tmp_path, made))

    async def work() -> None:
        await look.until(lambda: look.table() == [0])
        await look.until(lambda: bool(look.failures()))
        assert look.failures()[0].endswith("it has not answered within 5s; servers are chosen as before")
        for _ in range(20):
            await look.control.clock.advance_to(look.control.clock.now() + 1.0)
            look.tables.look()
        assert (look.table(), len(look.failures())) == ([0], 1)
        sys.modules[made].released.set()
        await look.until(lambda: look.table() == [1])

    asyncio.run(work())


def test_nobody_is_asked_any_more_once_the_watch_ends(tmp_path, module):
    made = module("class Own:\n    def table(self, servers): return ['a']\n")
    look = Look(balanced(tmp_path, made))

    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == f"python:{made}.Own"]

    async def work() -> None:
        watching = asyncio.create_task(look.tables.watch())
        await asyncio.sleep(0)
        assert len(threads()) == 1
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(work())
    for thread in threads():
        thread.join(LIMIT_S)
    assert threads() == []
