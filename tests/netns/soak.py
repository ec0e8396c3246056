"""A soak: a real swlb under mixed traffic, servers that flap, reloads and floods; and whether the books close after it.

`make soak`, or `PYTHONPATH=tests python -m netns.soak [SECONDS] [MODE]` as root; MODE is one of modes.py, `mixed`
(routed, a packet port and TAPs) or `workers` (the same with two). Nobody may fail but who was under way when a server
crashed or was taken away. After it all that came in and all that was made are what left and what was dropped, no
session is left, and memory, files and threads are what they were.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from netns.grounds import Ground, routed
from netns.modes import BULK, CHECK, ECHO, MODES, WEB, Mode, config_of, services_of
from netns.running import Host, Swlb, made_namespaces, running, wait_until
from netns.settings import settled
from netns.soak_figures import agrees_with_kernel, balance, totals, usage
from netns.soak_floods import FLOODS, burst
from netns.soak_traffic import PATIENCE_S, Book, users
from netns.traffic import http_server, listening, udp_echo
from swlb.namespaces import namespaces

MIXED = Mode("mixed", partial(routed, kinds={"web1": "packet"}), {"mode": "routed"}, hops=1)
WORKERS = replace(MIXED, name="workers", top={"mode": "routed", "workers": 2})
TIMEOUTS = {"tcp_syn": "3s", "tcp_fin": "2s", "tcp_closed": "1s", "udp": "2s", "udp_stream": "3s", "icmp": "3s"}
QUIET_S = 40.0  # the longest of them, what TCP of a host repeats, and a busy machine
DETECTED_S = 5.0
SHOWN_S = 1.0
MOST_GROWTH = 16 << 20
POOL = (os.cpu_count() or 1) + 4
STEP_S = (0.3, 1.5)


@dataclass
class Soak:
    """What stands, what was done to it, and what is wrong."""

    mode: Mode
    ground: Ground
    swlb: Swlb
    servers: Mapping[str, ExitStack]
    book: Book
    chance: random.Random
    events: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def start(self, host: Host) -> None:
        """Its web and bulk servers are there. Its echo, which nobody checks, always is."""
        for family in (4, 6):
            address = self.address(host, family)
            self.servers[host.name].enter_context(http_server(host, address, self.mode.port(WEB)))
            self.servers[host.name].enter_context(listening(host, address, self.mode.port(BULK), echo_all))

    def address(self, host: Host, family: int) -> str:
        return self.ground.vips[family] if self.mode.is_direct else host.address(family)

    def rows_of(self, host: Host) -> list[str]:
        return [f"{service}/{host.name}v{family}" for service in ("web", "bulk") for family in self.mode.families()]

    def order(self, host: Host, order: str) -> None:
        for row in self.rows_of(host):
            self.swlb.order(row, order)

    # ---- what is done to it ----

    def reload(self) -> None:
        self.swlb.reload(configuration(self.mode, self.ground, self.chance.randrange(3)))

    def flood(self, seed: int) -> None:
        """One burst after the other, until the users end."""
        chance = random.Random(seed)
        if "tun" in self.ground.ports.get("client", {}):
            return  # no Ethernet there
        while not self.book.ending.is_set():
            kind = chance.choice(list(FLOODS))
            sent = burst(kind, self.ground.client, self.ground.vips[4], chance.getrandbits(32))
            self.events[f"frames of a flood of {kind}"] += sent
            time.sleep(chance.uniform(*STEP_S))

    def weigh(self) -> None:
        self.order(self.chance.choice(self.ground.servers), f"weight={self.chance.randrange(1, 10)}")

    def restart(self) -> None:
        """A server goes and comes as its operator would have it: nobody notices."""
        host = self.chance.choice(self.ground.servers)
        self.order(host, "drain")
        with suppress(AssertionError):  # somebody is slow: let him be cut off as the operator would
            wait_until(lambda: not self.sessions_of(host), "drained", within=PATIENCE_S)
        with self.excusing_if(bool(self.sessions_of(host))):
            self.servers[host.name].close()
            self.start(host)
            self.swlb.wait_operational("up", *self.rows_of(host), within=PATIENCE_S)
        self.order(host, "ready")

    def crash(self) -> None:
        """A server is gone and comes back: whoever is with it fails until the check has noticed."""
        host = self.chance.choice(self.ground.servers)
        with self.book.excusing(DETECTED_S):
            self.servers[host.name].close()
            self.swlb.wait_operational("down", *self.rows_of(host), within=PATIENCE_S)
            self.start(host)
            self.swlb.wait_operational("up", *self.rows_of(host), within=PATIENCE_S)

    def maintain(self) -> None:
        host = self.chance.choice(self.ground.servers)
        with self.book.excusing(DETECTED_S):
            self.order(host, "maint")
            time.sleep(0.5)
            self.order(host, "ready")
            self.swlb.wait_operational("up", *self.rows_of(host), within=PATIENCE_S)

    def excusing_if(self, needed: bool) -> Any:
        return self.book.excusing(DETECTED_S) if needed else ExitStack()

    def sessions_of(self, host: Host) -> int:
        return sum(self.held()[row] for row in self.rows_of(host))

    def held(self) -> Counter[str]:
        """How many sessions each server counts; those with none are left out."""
        return +Counter({f"{row['service']}/{row['server']}": row["sessions_active"] + row["sessions_inactive"]
                         for row in self.swlb.show("servers")})


ACTIONS: Mapping[Callable[[Soak], None], int] = {
    Soak.reload: 4, Soak.weigh: 2, Soak.restart: 2, Soak.crash: 1, Soak.maintain: 1}


def configuration(mode: Mode, ground: Ground, number: int, *, checked: bool = True) -> str:
    """One of three that differ in schedulers, weights and a service; 0 is what all begins and ends with."""
    services: dict[str, Any] = services_of(mode, ground)
    services["bulk"]["check"] = {**CHECK, **mode.check}
    for service in services.values():
        if not checked:
            service.pop("check", None)
    if number:
        schedulers = ("wrr", "lc", "maglev") if number == 1 else ("lc", "wrr", "rr")
        for service, scheduler in zip(services.values(), schedulers, strict=True):
            service["scheduler"] = scheduler
        services["web"]["servers"][next(iter(services["web"]["servers"]))]["weight"] = 1 + number
    if number == 2:
        services["more"] = {**services["web"], "port": 81}
    config = json.loads(config_of(mode, ground, services))
    return json.dumps({**config, "limits": {"sessions": 100_000}, "timeouts": TIMEOUTS}, indent=1)


def echo_all(connection: Any) -> None:
    """Everything comes back."""
    connection.settimeout(PATIENCE_S)
    while data := connection.recv(1 << 16):
        connection.sendall(data)


@contextmanager
def standing(mode: Mode, directory: Path, seed: int) -> Iterator[Soak]:
    """Within the block everything serves, and nothing is done yet."""
    with made_namespaces() as make, ExitStack() as stack:
        ground = mode.lay(make)
        stations = [*ground.hosts.values(), *(door for door in ground.doors if door.switch)]
        swlb = stack.enter_context(running(configuration(mode, ground, 0), netns=ground.own, directory=directory,
                                           hosts=stations))
        stack.enter_context(settled(swlb.file, ground.servers, unpacks=mode.unpacks))
        servers = {host.name: stack.enter_context(ExitStack()) for host in ground.servers}
        soak = Soak(mode, ground, swlb, servers, Book(), random.Random(seed))
        for host in ground.servers:
            host.run("sysctl", "-qw", "net.ipv4.tcp_synack_retries=1")
            soak.start(host)
            for family in (4, 6):
                stack.enter_context(udp_echo(host, soak.address(host, family), mode.port(ECHO)))
        swlb.wait_operational("up", within=PATIENCE_S)
        yield soak


def go(soak: Soak, seconds: float, say: Callable[[str], None]) -> dict[str, int]:
    """The time is over and everybody has ended; what swlb held when a quarter of it was over."""
    begin, warm = time.monotonic(), None
    shown = 0.0
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        flood = pool.submit(soak.flood, soak.chance.getrandbits(32))
        stack.callback(flood.result)
        stack.enter_context(users(soak.book, soak.ground.client, soak.ground.vips, soak.chance.getrandbits(32)))
        while (passed := time.monotonic() - begin) < seconds:
            if warm is None and passed > seconds / 4:
                warm = usage(soak.swlb)
            if passed - shown > SHOWN_S:
                shown = passed
                failed = len(soak.book.failures)
                say(f"{passed:4.0f} of {seconds:.0f} s: {soak.book.done.total():,} done, {failed} failed")
            (action,) = soak.chance.choices(list(ACTIONS), list(ACTIONS.values()))
            action(soak)
            soak.events[action.__name__] += 1
            time.sleep(soak.chance.uniform(*STEP_S))
    return warm or usage(soak.swlb)


def audit(soak: Soak, warm: Mapping[str, int]) -> dict[str, int]:
    """The totals at the end; what is not as it should be is in soak.wrong."""
    swlb = soak.swlb
    swlb.reload(configuration(soak.mode, soak.ground, 0, checked=False))
    with noting(soak):
        wait_until(lambda: not swlb.show("sessions") and not soak.held(), "no session is left", within=QUIET_S)
    with noting(soak):
        wait_until(lambda: balance(totals(swlb)) == 0, "in + made = out + dropped", within=QUIET_S)
    with noting(soak):
        for port in (row["port"] for row in swlb.show("ports") if row["kind"] == "tap" and row["netns"]):
            wait_until(partial(agrees_with_kernel, swlb, port), f"port {port} counts as its device does")
    end = usage(swlb)
    with noting(soak):
        grown = end["memory"] - warm["memory"]
        assert grown <= MOST_GROWTH, f"memory grew by {grown >> 10} KiB"
        # The loop of the control plane has threads for what blocks, and begins them when it needs them.
        assert end["threads"] <= warm["threads"] + POOL, f"threads: {warm['threads']}, then {end['threads']}"
        assert end["files"] <= warm["files"], f"files: {warm['files']}, then {end['files']}"
    return {**totals(swlb), "growth_kib": (end["memory"] - warm["memory"]) >> 10}


@contextmanager
def noting(soak: Soak) -> Iterator[None]:
    """An assertion that fails within the block is one of the things that are wrong."""
    try:
        yield
    except AssertionError as error:
        soak.wrong.append(str(error))


def run(seconds: float, mode: Mode, *, seed: int, say: Callable[[str], None]) -> tuple[Soak, dict[str, int]]:
    """A soak from its beginning to its end: what was done, what is wrong, and the totals."""
    with tempfile.TemporaryDirectory() as directory, standing(mode, Path(directory), seed) as soak:
        warm = go(soak, seconds, say)
        say("everybody has ended; waiting for timeouts")
        figures = audit(soak, warm)
        if balance(figures):
            soak.wrong.append(f"the books: {figures}; drops {soak.swlb.drops()}")
    soak.wrong += soak.book.failures
    own = {soak.ground.own, *(host.netns for host in (*soak.ground.hosts.values(), *soak.ground.doors))}
    if left := namespaces() & own:
        soak.wrong.append(f"namespaces are left: {sorted(left)}")
    return soak, figures


def report(soak: Soak, figures: Mapping[str, int], console: Console) -> None:
    table = Table(box=None, title="soak", title_justify="left", show_header=False)
    for what, n in (*soak.book.done.items(), *((f"{kind}, excused", n) for kind, n in soak.book.excused.items()),
                    *soak.events.items(), *((f"frames {what}" if what != "growth_kib" else "growth of memory, KiB", n)
                                            for what, n in figures.items())):  # fmt: skip
        table.add_row(what, f"{n:,}")
    console.print(table)
    for sentence in soak.wrong[:20]:
        console.print(f"wrong: {sentence}", style="red", markup=False)
    console.print(f"{len(soak.wrong)} things are wrong" if soak.wrong else "nothing is wrong")


def main(words: list[str]) -> int:
    modes = {mode.name: mode for mode in (MIXED, WORKERS, *MODES)}
    parser = argparse.ArgumentParser(prog="netns.soak", description=__doc__.splitlines()[0])
    parser.add_argument("seconds", nargs="?", type=float, default=600, help="of traffic (default: %(default)s)")
    parser.add_argument("mode", nargs="?", choices=modes, default="mixed", metavar="mode",
                        help=f"{', '.join(modes)} (default: %(default)s)")
    wanted = parser.parse_args(words)
    seconds, mode, console = wanted.seconds, modes[wanted.mode], Console()
    seed = random.randrange(1 << 32)
    console.print(f"seed {seed}, {mode.name}, {seconds:.0f} s")
    out, end = sys.stdout, "\r" if console.is_terminal else "\n"
    log = StringIO()
    with redirect_stdout(log):
        soak, figures = run(seconds, mode, seed=seed, say=lambda text: print(text, end=end, file=out, flush=True))
    if soak.wrong:
        console.print(log.getvalue(), markup=False, highlight=False)
    report(soak, figures, console)
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
