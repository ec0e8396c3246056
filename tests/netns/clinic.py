"""swlb in a mode with a service for each row of the table of sicknesses, and the servers that are to fall ill."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netns.grounds import Ground, Make
from netns.modes import Mode, config_of
from netns.running import Host, Swlb, running, wait_until
from netns.settings import settled
from netns.sick import Server, Ward, script_of, ward
from netns.sicknesses import CHECKS, HERE, OVER_UDP, ROWS, SPOKEN_BY, Row

# `response` leaves room for a busy machine: nobody who is well may be taken for ill.
TIMERS = {"interval": "1s", "response": "900ms", "retries": 2, "timeout": "10s", "dead_interval": "500ms", "rise": 1}
PATIENCE_S = 20.0
PORTS = {row.name: port for port, row in enumerate(ROWS, 9001)}

State = tuple[str, str]  # the last probe's verdict, and the operational state


@dataclass(frozen=True)
class Certificates:
    """PEM files: of an authority, and of what servers have of it, `good` and `expired`."""

    ca: str
    servers: Mapping[str, str]


@dataclass(frozen=True)
class Clinic:
    """A running swlb with all rows, and who may fall ill. What is `gone` is at the host `absent`."""

    mode: Mode
    ground: Ground
    swlb: Swlb
    here: Ward
    certificates: Certificates

    def expect(self, states: Callable[[Row], State]) -> None:
        """All servers have come to the verdict and the state that is right for their row."""
        wanted = {f"{row.name}/v{family}": states(row) for row in ROWS for family in self.mode.families()}
        found: dict[str, State] = {}

        def holds() -> bool:
            for server in self.swlb.show("servers"):
                found[f"{server['service']}/{server['server']}"] = (server["check_status"], server["operational"])
            return found == wanted

        try:
            wait_until(holds, "every verdict", within=PATIENCE_S)
        finally:
            wrong = {name: (state, wanted[name]) for name, state in found.items() if state != wanted[name]}
            print("found, and expected:", wrong) if wrong else None

    @contextmanager
    def appeared(self) -> Iterator[None]:
        """Within the block the host that was gone is there, and its servers serve."""
        host = absent(self.ground)
        host.configure()
        gone = [row for row in ROWS if row not in HERE]
        servers = servers_of(gone, self.mode, self.ground, self.certificates)
        with (
            settled(self.swlb.file, [host], unpacks=self.mode.unpacks),
            ward(host, servers, self.swlb.file.parent),
        ):
            yield


@contextmanager
def clinic(mode: Mode, make: Make, directory: Path, certificates: Certificates) -> Iterator[Clinic]:
    """Within the block swlb runs in the mode, and all servers that are not gone serve."""
    ground = mode.lay(make)
    config = config_of(mode, ground, services_of(mode, ground, directory, certificates))
    stations = [host for host in ground.hosts.values() if host is not absent(ground)]
    stations += [door for door in ground.doors if door.switch]
    host = ground.hosts["web1"]
    with (
        running(config, netns=ground.own, directory=directory, hosts=stations) as swlb,
        settled(swlb.file, [host], unpacks=mode.unpacks),
        ward(host, servers_of(HERE, mode, ground, certificates), directory) as here,
    ):
        yield Clinic(mode, ground, swlb, here, certificates)


def absent(ground: Ground) -> Host:
    """Where the servers of rows `gone` are."""
    return ground.hosts["web3"]


def host_of(row: Row, ground: Ground) -> Host:
    return ground.hosts["web1"] if row in HERE else absent(ground)


def services_of(mode: Mode, ground: Ground, directory: Path, certificates: Certificates) -> dict[str, Any]:
    """A service for each row."""
    return {
        row.name: {
            "vip": list(ground.vips.values()),
            "port": PORTS[row.name],
            "protocol": "udp" if row.kind in OVER_UDP else "tcp",
            "check": check_of(row, directory, certificates),
            "servers": {f"v{family}": {"address": host_of(row, ground).address(family)} for family in mode.families()},
            **mode.service,
        }
        for row in ROWS
    }


def check_of(row: Row, directory: Path, certificates: Certificates) -> dict[str, Any]:
    check = {**CHECKS[row.kind], **TIMERS}
    if row.kind in ("https", "tls"):
        check["ca"] = certificates.ca
    if row.kind == "exec":
        check["command"] = ["/bin/sh", str(script_of(directory, row.name))]
    return check


def servers_of(rows: Sequence[Row], mode: Mode, ground: Ground, certificates: Certificates) -> list[Server]:
    """What serves for those rows: where clients' packets arrive, and where a check of the server itself does."""
    vips = ground.vips.values() if mode.is_direct else ()
    return [
        Server(row.name, SPOKEN_BY.get(row.kind, row.kind),
               [*(host_of(row, ground).address(family) for family in mode.families()), *vips],
               PORTS[row.name], certificates.servers)
        for row in rows
    ]  # fmt: skip
