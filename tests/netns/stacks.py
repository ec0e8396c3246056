"""What everybody has on their machine, run through the VIP in every mode: curl, iperf3, dig, traceroute and tracepath.

    make stacks               all modes, 1 GiB each way and iperf3 for 10 s; prints a table mode by tool (root)

Each tool is a function that says in a few words what was seen, or raises AssertionError with what should have been.
test_conformance.py asks the same, briefly.
"""

import argparse
import io
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from netns.grounds import INSIDE, OUTSIDE
from netns.grounds import at as address_at
from netns.modes import (
    BEFORE_A_LINK,
    MODES,
    WEB,
    WIDE_MTU,
    Mode,
    Served,
    Standing,
    forget_paths,
    narrowed,
    serving,
    standing,
)
from netns.running import Host, inside, made_namespaces
from netns.stack_servers import NAME, all_of, digest_of, files, iperf3_server, names, texts_of

FILES, DNS, PERF = 81, 53, 5201
PROBES = 33434  # traceroute and tracepath count up from here
MIB = 1 << 20
SLOWEST_MIB_S = 20.0  # of a transfer that has not hung
SEED = 0x5EED
UDP, ICMP, TCP = [], ["-I"], ["-T", "-p", str(WEB)]


@dataclass(frozen=True)
class Stacks:
    """Servers for all tools beside those of the mode, and the file that is sent each way; `seconds` are iperf3's."""

    served: Served
    file: Path
    seconds: float
    digest: str

    @property
    def at(self) -> Standing:
        return self.served.at


def services_for(mode: Mode) -> dict[str, Mapping[str, Any]]:
    """What the tools need beside the services of all modes. Names are asked for as a resolver does: each time anew."""
    each = {"one_packet": True} if mode.is_direct else {"responses": 1}
    return {
        "files": {"port": FILES},
        "dns": {"port": DNS, "protocol": "udp", **each},
        "perf": {"port": PERF, "scheduler": "fo"},
        "probes": {"port": f"{PROBES}-{PROBES + 99}", "protocol": "udp"},
    }


@contextmanager
def stacks(served: Served, directory: Path, *, mib: int, seconds: float) -> Iterator[Stacks]:
    """Within the block every server has what the tools ask for."""
    at, (file, digest), servers = served.at, made_file(directory, mib), []
    for host in at.ground.servers:
        for address in (at.seen_address(host, family) for family in (4, 6)):
            servers += [files(host, address, at.mode.port(FILES), file), names(host, address, at.mode.port(DNS))]
            # Both of iperf3's connections are for one server: `fo` names the first.
            servers += [iperf3_server(host, address, at.mode.port(PERF))] * (host is at.ground.servers[0])
    with all_of(servers):
        yield Stacks(served, file, seconds, digest)


@cache
def made_file(directory: Path, mib: int) -> tuple[Path, str]:
    """A file of that size in the directory, and its SHA-256."""
    file, chance = directory / f"file-{mib}", random.Random(SEED)
    with file.open("wb") as content:
        for _ in range(mib):
            content.write(chance.randbytes(MIB))
    with file.open("rb") as content:
        return file, digest_of(content)


def run(host: Host, *argv: str, within: float = 30.0) -> str:
    """What the command printed; it has ended well."""
    done = subprocess.run([*inside(host.netns), *argv], check=False, capture_output=True, text=True, timeout=within)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode} {done.stdout}{done.stderr}"
    return done.stdout


def url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


# ---- the tools ----


def curl(with_: Stacks, family: int) -> str:
    """A request is answered by a server."""
    said = json.loads(run(with_.at.client, "curl", "-sS", "--max-time", "10", url(with_.at.vip(family), WEB)))
    assert said["server"] in with_.at.ground.hosts
    return "answered"


def file_up(with_: Stacks, family: int) -> str:
    """The server has the file as the client has it."""
    longest = with_.file.stat().st_size / MIB / SLOWEST_MIB_S + 10
    began = time.monotonic()
    got = run(with_.at.client, "curl", "-sS", "--max-time", f"{longest:.0f}", "-H", "Expect:", "-T", str(with_.file),
              url(with_.at.vip(family), FILES), within=longest + 10)  # fmt: skip
    assert got == with_.digest, "the file arrived changed"
    return _rate(with_.file.stat().st_size * 8 / (time.monotonic() - began))


def file_down(with_: Stacks, family: int) -> str:
    """The client gets the file as the server has it."""
    longest = with_.file.stat().st_size / MIB / SLOWEST_MIB_S + 10
    argv = ["curl", "-sS", "--max-time", f"{longest:.0f}", url(with_.at.vip(family), FILES)]
    began = time.monotonic()
    with subprocess.Popen([*inside(with_.at.client.netns), *argv], stdout=subprocess.PIPE) as process:
        got = digest_of(process.stdout)
    assert (process.returncode, got) == (0, with_.digest), "the file arrived changed or cut short"
    return _rate(with_.file.stat().st_size * 8 / (time.monotonic() - began))


def iperf3_up(with_: Stacks, family: int) -> str:
    """All that iperf3 sends is received."""
    return _iperf3(with_, family)


def iperf3_down(with_: Stacks, family: int) -> str:
    return _iperf3(with_, family, "-R")


def _iperf3(with_: Stacks, family: int, *options: str) -> str:
    size = ["-t", f"{with_.seconds:g}"] if with_.seconds >= 1 else ["-n", "32M"]
    said = json.loads(run(with_.at.client, "iperf3", "-J", "-c", with_.at.vip(family), "-p", str(PERF), *size, *options,
                          within=with_.seconds + 30))  # fmt: skip
    end = said["end"]
    assert end["sum_received"]["bytes"] > 0
    return _rate(end["sum_received"]["bits_per_second"])


def dig(with_: Stacks, family: int) -> str:
    """An answer of 4 KiB, in fragments, is the server's; each question goes to the next server."""
    at, servers = with_.at, []
    for _ in range(3):
        out = run(at.client, "dig", "+time=5", "+tries=1", "+bufsize=4096", "+notcp", "+ignore", "+noall", "+answer",
                  "+stats", "-p", str(DNS), f"@{at.vip(family)}", NAME, "TXT")  # fmt: skip
        strings = re.findall(r'"([^"]*)"', out)
        assert strings, out
        servers.append(strings[0].split()[0])
        assert strings == texts_of(at.ground.hosts[servers[-1]])
    (length,) = re.findall(r"MSG SIZE  rcvd: (\d+)", out)
    assert len(set(servers)) == 3, f"the servers of three questions: {servers}"
    return f"{length} B"


def traceroute_udp(with_: Stacks, family: int) -> str:
    """UDP: the routers on the way to the server, and the VIP."""
    return _vip_traced(with_, family, UDP, routers(with_.at, family))


def traceroute_icmp(with_: Stacks, family: int) -> str:
    """Echo requests: swlb answers them in the VIP's name."""
    return _vip_traced(with_, family, ICMP, [])


def traceroute_tcp(with_: Stacks, family: int) -> str:
    """TCP: the routers on the way to the server, and the VIP."""
    return _vip_traced(with_, family, TCP, routers(with_.at, family))


def traceroute_through(with_: Stacks, family: int) -> str:
    """From client to server and back where swlb lies between them: swlb where it routes, and who was meant.

    Where a source stands for clients servers need no way to the client, and have none.
    """
    at = with_.at
    if not is_between(at) or at.mode.source:
        return "-"
    (host, *_), private = at.ground.servers, "access" in at.mode.inside
    outside, inside_ = ([address_at(net, 1)[family]] * at.mode.hops for net in (OUTSIDE, INSIDE))
    # Not to ports at which servers serve the VIP: what is said of those without a session is dropped.
    for flavour in ([*UDP, "-p", str(PROBES + 1000)], ICMP):
        if not private:
            _traced(at.client, host.address(family), flavour, outside)
        _traced(host, at.client.address(family), flavour, inside_)
    return f"{at.mode.hops} hop" + " (back)" * private


def tracepath(with_: Stacks, family: int) -> str:
    """It finds what the path to the server carries."""
    at, wanted = with_.at, WIDE_MTU - with_.at.mode.outer
    found = path_mtu(at, family)
    forget_paths(at)
    assert found == wanted, f"{found}, not {wanted}"
    return str(wanted)


def tracepath_narrow(with_: Stacks, family: int) -> str:
    """The same where the link behind swlb carries less than the one before it."""
    at = with_.at
    if at.mode not in BEFORE_A_LINK:
        return "-"
    with narrowed(at) as told:
        found = path_mtu(at, family)
    assert found == told[-1], f"{found}, not {told[-1]}"
    return str(found)


def path_mtu(at: Standing, family: int) -> int:
    """What tracepath says of the way to the VIP, which it has to reach."""
    out = run(at.client, "tracepath", "-n", "-m", "8", "-p", str(PROBES), at.vip(family))
    found = re.search(r"Resume: pmtu (\d+) hops \d+ back", out)
    assert found, out
    assert "reached" in out, out
    return int(found[1])


def hops(host: Host, address: str, flavour: Sequence[str]) -> list[str]:
    """Who answers on the way, hop by hop; "*" for nobody."""
    out = run(host, "traceroute", "-6" if ":" in address else "-4", "-n", "-q", "1", "-N", "1", "-w", "3", "-m", "8",
              *flavour, address)  # fmt: skip
    return [line.split()[1] for line in out.splitlines()[1:]]


def routers(at: Standing, family: int) -> list[str]:
    """The hops that a request to a server meets, as architecture and mode say."""
    if not at.mode.hops:
        return []
    return [address_at(OUTSIDE, 1)[family]] if is_between(at) else [address_at(0, 254)[family]]


def is_between(at: Standing) -> bool:
    """Whether swlb is between the client and the servers."""
    return at.ground.doors[0] is at.client


def _vip_traced(with_: Stacks, family: int, flavour: Sequence[str], before: Sequence[str]) -> str:
    _traced(with_.at.client, with_.at.vip(family), flavour, before)
    return "VIP" if not before else f"{len(before)} hop, VIP"


def _traced(host: Host, address: str, flavour: Sequence[str], before: Sequence[str]) -> None:
    seen, wanted = hops(host, address, flavour), [*before, address]
    assert seen == wanted, f"from {host.name}, {flavour or 'UDP'}: {seen}, not {wanted}"


def _rate(bits_s: float) -> str:
    return f"{bits_s / 1e9:.1f} Gb/s"


TOOLS: tuple[Callable[[Stacks, int], str], ...] = (
    curl, file_up, file_down, iperf3_up, iperf3_down, dig, traceroute_udp, traceroute_icmp, traceroute_tcp,
    traceroute_through, tracepath, tracepath_narrow,
)  # fmt: skip


# What a test has the time for: all but what conformance asks in another way, each tool in one of the families.
BRIEFLY = (curl, file_up, dig, file_down, traceroute_udp, iperf3_up, traceroute_tcp, traceroute_icmp,
           traceroute_through, tracepath)  # fmt: skip


# ---- the long form ----


def main() -> int:
    """Every tool in every mode, as a table; 0 when all was as it should be."""
    parser = argparse.ArgumentParser(prog="netns.stacks", description="Real tools through every mode of swlb (root).")
    parser.add_argument("--mib", type=int, default=1024, help="of the file that goes each way (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of iperf3, each way (default: %(default)s)")
    parser.add_argument("--modes", default="", help="A,B: only these")
    wanted = parser.parse_args()
    names = [name for name in wanted.modes.split(",") if name]
    if unknown := set(names) - {mode.name for mode in MODES}:
        parser.error(f"no such mode: {', '.join(unknown)}; there are {', '.join(mode.name for mode in MODES)}")
    chosen = [mode for mode in MODES if not names or mode.name in names]
    failed = 0
    print("| mode | " + " | ".join(tool.__name__.replace("_", " ") for tool in TOOLS) + " |")
    print("|---" * (len(TOOLS) + 1) + "|", flush=True)
    with tempfile.TemporaryDirectory(prefix="swlb-stacks-") as directory:
        for mode in chosen:
            with redirect_stdout(io.StringIO()):  # what swlb itself has said
                try:
                    cells, errors = row(mode, Path(directory), wanted.mib, wanted.seconds)
                except AssertionError as error:  # the mode itself does not stand
                    cells, errors = ["FAILED"] * len(TOOLS), [str(error)] * len(TOOLS) * 2
            print(f"| {mode.name} | " + " | ".join(cells) + " |", flush=True)
            for error in errors:
                print(f"{mode.name}: {error}", file=sys.stderr, flush=True)
            failed += len(errors)
    print(f"\n{failed or 'none'} of {len(chosen) * len(TOOLS) * 2} failed", file=sys.stderr)
    return 1 if failed else 0


def row(mode: Mode, directory: Path, mib: int, seconds: float) -> tuple[list[str], list[str]]:
    """What each tool saw in the mode, IPv4 and IPv6, and what went wrong."""
    errors: list[str] = []

    def seen(tool: Callable[[Stacks, int], str], family: int) -> str:
        try:
            return tool(with_, family)
        except (AssertionError, subprocess.SubprocessError, ValueError, KeyError) as error:
            errors.append(f"{tool.__name__}, IPv{family}: {error}")
            return "FAILED"

    (place := directory / mode.name).mkdir()
    with ExitStack() as stack:
        make = stack.enter_context(made_namespaces())
        at = stack.enter_context(standing(mode, make, place, further=services_for(mode)))
        with_ = stack.enter_context(stacks(stack.enter_context(serving(at)), directory, mib=mib, seconds=seconds))
        cells = [tuple(seen(tool, family) for family in (4, 6)) for tool in TOOLS]
    return [v4 if v4 == v6 else f"{v4} / {v6}" for v4, v6 in cells], errors


if __name__ == "__main__":
    sys.exit(main())
