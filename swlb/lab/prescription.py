"""What `swlb doctor` prescribes to the servers of a lab, done as it stands there.

Where it offers a tunnel device or `swlb decap`, it is `swlb decap`, which needs nothing of the kernel.
"""

import shlex
import sys
from collections.abc import Iterator

from swlb.doctor import Step, diagnose
from swlb.errors import SwlbError
from swlb.lab import Lab, environment
from swlb.lab.host import Host, Kind
from swlb.lab.voice import Voice

DECAP = "swlb decap "
DECAP_DEVICE = "swdecap0"


def fulfil(lab: Lab) -> None:
    """Every server has what it needs."""
    for host in lab.hosts.values():
        for command in _commands(lab, host):
            if command.startswith(DECAP):
                _unpack(lab, host, command)
            else:
                host.run("sh", "-c", command)


def show_prescription(lab: Lab, say: Voice, name: str) -> None:
    """What the server of that name was prescribed, is told."""
    say.heading(f"What `swlb doctor` prescribes to {name}, and the lab has done")
    for command in _commands(lab, lab.hosts[name]):
        say(command)


def _commands(lab: Lab, host: Host) -> Iterator[str]:
    """Each once: a host that has two addresses is two patients to the doctor."""
    own = {address.partition("/")[0] for address in host.addresses}
    steps = [step for patient in diagnose(lab.config) if patient.address in own for step in patient.steps]
    return iter(dict.fromkeys(command for step in steps for command in _of(step)))


def _of(step: Step) -> tuple[str, ...]:
    return step.instead or step.commands


def _unpack(lab: Lab, host: Host, command: str) -> None:
    """`swlb decap` has begun in the host, and unpacks; its device is a place where frames are seen."""
    path = lab.log_of(host)
    words = shlex.split(command.removeprefix("swlb "))
    with path.open("wb") as log:
        child = host.popen(sys.executable, "-m", "swlb", *words, stdout=log, stderr=log, env=environment())

    def is_ready() -> bool:
        if child.poll() is not None:
            raise SwlbError(f"{host.name}: {command}: {path.read_text().strip()}")
        return "ready" in path.read_text().splitlines()

    lab.wait(is_ready, f"swlb decap is ready in {host.name}")
    host.look_at(DECAP_DEVICE, Kind.TUNNEL)
