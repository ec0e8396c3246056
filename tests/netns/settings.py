"""The servers' settings, exactly as `swlb doctor FILE --json` prints them, run on each server."""

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netns.running import ROOT, START_S, STOP_S, SWLB, Host, cli, inside, wait_until
from netns.unpacking import unpacked_by_the_kernel


@contextmanager
def settled(file: Path, servers: Sequence[Host], *, unpacks: str = "") -> Iterator[None]:
    """Within the block these servers have what they need. What tunnels bring is unpacked by `decap` or the `kernel`."""
    said = cli("doctor", str(file), "--json")
    assert said.returncode == 0, said.stderr
    with ExitStack() as stack:
        for patient in json.loads(said.stdout):
            host = next((host for host in servers if patient["address"] in (host.ipv4, host.ipv6)), None)
            for step in patient["steps"] if host else ():
                if not step["instead"]:
                    run(host, step["commands"])
                elif unpacks == "decap":
                    for command in step["instead"]:
                        stack.enter_context(decap(host, command, file.parent))
                else:
                    stack.enter_context(by_the_kernel(host, step["commands"]))
        yield


def run(host: Host, commands: Sequence[str]) -> None:
    """The commands have run inside, every one of them well."""
    argv = [*inside(host.netns), "bash", "-eu"]
    done = subprocess.run(argv, input="\n".join(commands), text=True, check=False, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr


@contextmanager
def decap(host: Host, command: str, directory: Path) -> Iterator[None]:
    """Within the block that `swlb decap` command runs inside and receives; it then ends as it should."""
    swlb, *words = shlex.split(command)
    assert swlb == "swlb"
    output = directory / f"decap-{host.name}"
    with output.open("w") as stdout:
        argv = [*inside(host.netns), *SWLB, *words]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=stdout, stderr=stdout, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or "ready\n" in output.read_text(), "ready", within=START_S)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=STOP_S)
        print(f"{host.name}: {command}\n{output.read_text()}")
    assert code == 0


@contextmanager
def by_the_kernel(host: Host, commands: Sequence[str]) -> Iterator[None]:
    """Within the block packets are taken out as the devices that the commands make would do it."""
    ports = [words[words.index("port") + 1] for words in map(str.split, commands) if "gue" in words]
    (address,) = {words[words.index("local") + 1] for words in map(str.split, commands) if "local" in words}
    with unpacked_by_the_kernel(host, 6 if ":" in address else 4, gue_port=int(ports[0]) if ports else None):
        yield
