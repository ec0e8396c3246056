"""Path MTU, in every mode: links of all sizes in front of swlb and behind it, and whether anything gets lost.

    make pmtu                        every mode, every pair of links: what tests/netns/PMTU.md has
    make pmtu MODES="routed dsr"

A cell is a pair of links, or one behind a further router in front. In it a client sends 200 KB by TCP, gets 200 KB, and
has two datagrams echoed: one that fills its link, and one larger than every link. Over IPv4 all of it once more among
hosts that do not discover anything, and leave it to routers to take packets apart. Nobody tells TCP what its own link
carries (advmss), or there would be nothing to discover; and TCP does not probe by itself.
"""

import argparse
import errno
import hashlib
import io
import itertools
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from netns.grounds import Ground, Make, at, both, lay_wire
from netns.links import LEG, MTUS, Links, laid
from netns.modes import BULK, ECHO, MODES, ON_ONE_SWITCH, Mode, Served, Standing, serving, standing
from netns.running import Host, ip, made_namespaces
from netns.traffic import connect, udp_client

FAR_NET = 7
HEADERS = {4: 28, 6: 48}  # of IP and UDP
DATA = random.Random(0x3710).randbytes(200_000)
LARGER_THAN_ANY = 12_000
PATIENCE_S, AGAIN_S = 3.0, 0.1

PAIRS = tuple(Links(front, behind) for front, behind in itertools.product(MTUS, MTUS))
BEYOND = tuple(Links(1500, 1500, far) for far in (1400, 1280))
CELLS = PAIRS + BEYOND


def cells_of(mode: Mode, cells: Iterable[Links] = CELLS) -> list[Links]:
    """Those that there are: where all are on one switch, there is one link."""
    return [links for links in cells if mode not in ON_ONE_SWITCH or links.front == links.behind]


@dataclass(frozen=True)
class Outcome:
    """What became of one transfer: how long it took, or why it failed."""

    what: str
    seconds: float = 0.0
    error: str = ""


# ---- the ground ----


def _ground(mode: Mode, discover: bool, make: Make) -> Ground:
    """The mode's ground, where the client is also the router of a further host, `far`."""
    ground = mode.lay(make)
    far = Host("far", make(), "eth0", both(FAR_NET, 10), tuple(at(FAR_NET, 1).values()))
    leg = Host("leg", ground.client.netns, LEG, both(FAR_NET, 1))
    lay_wire(far, leg.netns, leg.device)
    leg.configure()
    _sysctl(leg, "ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1")
    client = {family: ground.client.address(family) for family in (4, 6)}
    if ground.router:
        for family, subnet in _far_subnets().items():
            ip(ground.router, f"-{family} route add {subnet} via {client[family]}")
    if not discover:
        for host in (*ground.hosts.values(), far):
            _sysctl(host, "ipv4.ip_no_pmtu_disc=1")
    routes = [{"to": subnet, "via": client[family]} for family, subnet in _far_subnets().items()]
    return replace(ground, hosts={**ground.hosts, "far": far}, routes=[*ground.routes, *routes])


def _far_subnets() -> dict[int, str]:
    return {4: f"10.0.{FAR_NET}.0/24", 6: f"fd00:{FAR_NET}::/64"}


def _find_far(here: Standing, family: int, server: Host) -> None:
    """The server can send to the host beyond the client, by way of the client where it knows of no gateway."""
    far, client = here.ground.hosts["far"].address(family), here.client.address(family)
    if server.run("ip", f"-{family}", "route", "get", far).returncode != 0:
        via = server.ip(f"-{family} route get {client}").split()
        gateway = via[via.index("via") + 1] if "via" in via else client
        server.ip(f"-{family} route add {_far_subnets()[family]} via {gateway} dev {server.device}")


def _sysctl(host: Host, *settings: str) -> None:
    done = host.run("sysctl", "-qw", *(f"net.{setting}" for setting in settings))
    assert done.returncode == 0, done.stderr


# ---- what is sent ----


def attempts(served: Served, links: Links, *, discover: bool) -> list[Outcome]:
    """What became of every transfer of the cell. Where nothing is discovered, of IPv4 only: IPv6 has nothing else."""
    host = served.at.ground.hosts["far"] if links.far else served.at.client
    outcomes = []
    for family in (4, 6) if discover else (4,):
        filling = (links.far or links.front) - HEADERS[family]
        way = f"IPv{family} {'discovered' if discover else 'taken apart'}"
        outcomes += [
            attempt(f"{way}, TCP up", partial(by_tcp, served, host, family, up=True)),
            attempt(f"{way}, TCP down", partial(by_tcp, served, host, family, up=False)),
            attempt(f"{way}, UDP of {filling}", partial(by_udp, served, host, family, filling)),
            attempt(f"{way}, UDP of {LARGER_THAN_ANY}", partial(by_udp, served, host, family, LARGER_THAN_ANY)),
        ]
    return outcomes


def attempt(what: str, send: partial[None]) -> Outcome:
    began = time.monotonic()
    try:
        send()
    except (OSError, AssertionError) as error:
        return Outcome(what, error=f"{type(error).__name__}: {error}")
    return Outcome(what, time.monotonic() - began)


def by_tcp(served: Served, client: Host, family: int, *, up: bool) -> None:
    """200 KB have arrived as they were sent."""
    with connect(client, served.at.vip(family), BULK) as near:
        _, far = served.bulk.get(timeout=PATIENCE_S)
        with far:
            source, sink = (near, far) if up else (far, near)
            for sock in (near, far):
                sock.settimeout(PATIENCE_S)
            thread = threading.Thread(target=_send_all, args=[source])
            thread.start()
            received = bytearray()
            try:
                while more := sink.recv(1 << 16):
                    received += more
            finally:
                sink.close()
                thread.join()
    assert hashlib.sha256(received).digest() == hashlib.sha256(DATA).digest()


def _send_all(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.sendall(DATA)
        sock.shutdown(socket.SHUT_WR)


def by_udp(served: Served, client: Host, family: int, size: int) -> None:
    """The datagram has come back as it was sent; it is sent anew until it does, as one that tells of an MTU is lost."""
    deadline = time.monotonic() + PATIENCE_S
    with udp_client(client, served.at.vip(family), ECHO) as sock:
        sock.settimeout(AGAIN_S)
        while True:
            assert time.monotonic() < deadline, "no echo"
            # An error that tells of an MTU comes back as EMSGSIZE, too, once.
            with suppress(TimeoutError), but_too_long():
                sock.send(DATA[:size])
                _, _, back = sock.recv(1 << 16).partition(b" ")
                assert back == DATA[:size]
                return


@contextmanager
def but_too_long() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise


# ---- the matrix ----


@contextmanager
def stood(mode: Mode, directory: Path, *, discover: bool = True) -> Iterator[Served]:
    """Within the block swlb stands in the mode, with a router in front, and its servers serve."""
    # A kernel's tunnel device puts outer packets together, as `decap` has its kernel do it; a program of eBPF cannot.
    mode = replace(mode, lay=partial(_ground, mode, discover), unpacks="decap" if mode.unpacks else "")
    with made_namespaces() as make, standing(mode, make, directory) as here, serving(here) as served:
        for family, server in itertools.product((4, 6), () if mode.source else here.ground.servers):
            _find_far(here, family, server)
        yield served


def measure(mode: Mode, cells: Sequence[Links], directory: Path) -> dict[Links, list[Outcome]]:
    """What became of every transfer in these cells."""
    outcomes: dict[Links, list[Outcome]] = {links: [] for links in cells}
    for discover in (True, False):
        with stood(mode, directory, discover=discover) as served, laid(served.at) as lay:
            for links in cells:
                lay(links)
                outcomes[links] += attempts(served, links, discover=discover)
    return outcomes


@contextmanager
def quiet_unless_it_fails() -> Iterator[None]:
    """What is printed within the block, as swlb's log is, comes to light only when an exception leaves it."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    except BaseException:
        print(said.getvalue(), file=sys.stderr)
        raise


def shown(outcomes: Sequence[Outcome]) -> str:
    """The cell: milliseconds of its slowest transfer, or how many failed."""
    failed = [outcome for outcome in outcomes if outcome.error]
    return f"**{len(failed)} lost**" if failed else f"{max(outcome.seconds for outcome in outcomes) * 1000:.0f}"


def row(mode: Mode, outcomes: dict[Links, list[Outcome]]) -> str:
    cells = [shown(outcomes[links]) if links in outcomes else "" for links in CELLS]
    return f"| {mode.name} | {' | '.join(cells)} |"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="netns.pmtu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [mode.name for mode in MODES]
    some = f"all, or some of {', '.join(known)}"
    parser.add_argument("mode", nargs="*", choices=[[], *known], metavar="mode", help=some)
    names = parser.parse_args(words).mode
    print(f"| mode | {' | '.join(map(str, CELLS))} |\n|---{'|--:' * len(CELLS)}|", flush=True)
    lost = 0
    for mode in MODES:
        if names and mode.name not in names:
            continue
        with tempfile.TemporaryDirectory() as directory, quiet_unless_it_fails():
            outcomes = measure(mode, cells_of(mode), Path(directory))
        print(row(mode, outcomes), flush=True)
        for links, found in outcomes.items():
            for outcome in found:
                if outcome.error:
                    lost += 1
                    print(f"{mode.name}, {links}, {outcome.what}: {outcome.error}", file=sys.stderr, flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
