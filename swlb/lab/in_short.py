"""A walk in short: a row of the table of modes, in words that are the same whoever ran it, whenever."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from swlb.config import Config
from swlb.journey import DOCTOR, journey
from swlb.lab import Lab
from swlb.lab.capture import Sighting
from swlb.lab.decode import Outer
from swlb.lab.requests import expect
from swlb.lab.walk import Walk

COLUMNS = {
    "sends": "the client sends",
    "sees": "the server sees",
    "gets": "the client gets back",
    "passes": "the reply passes swlb",
    "needs": "servers need",
}
NOTHING = "nothing"
BEGIN, END = "<!-- table of modes: made by `swlb lab table` -->", "<!-- end of the table of modes -->"


@dataclass(frozen=True)
class InShort:
    """What the ends of a walk see. The servers' needs are those that `swlb check` tells, and the lab gave them."""

    sends: str
    sees: str
    gets: str
    passes: str
    needs: str


def in_short(lab: Lab, walk: Walk) -> InShort:
    """What the walk came to. Addresses are called by whose they are, and ports that are anybody's are left out."""
    names, l4_ports = _names(lab), _l4_ports(lab.config)

    def end(endpoint: str) -> str:
        has_port = endpoint.startswith("[") or endpoint.count(":") == 1
        address, _, l4_port = endpoint.rpartition(":") if has_port else (endpoint, "", "")
        name = names.get(address.strip("[]"), address)
        return f"{name}:{l4_port}" if l4_port in l4_ports else name

    def packet(sighting: Sighting) -> str:
        seen = sighting.seen
        return f"{end(seen.source)} → {end(seen.destination)}, TTL {seen.ttl}"

    def wrapped(outer: Outer) -> str:
        return f", in {outer.kind} {end(outer.source)} → {end(outer.destination)}"

    outers = [sighting.seen.outer for sighting in walk.first if sighting.seen.outer]
    came_back = [sighting for sighting in walk.answer if sighting.where == f"at {walk.caller}"]
    refused = ", which it resets" if "RST" in walk.messages else ""
    return InShort(
        sends=packet(walk.first[0]),
        sees=packet(walk.first[-1]) + (wrapped(outers[-1]) if outers else ""),
        gets=packet(came_back[-1]) + refused if came_back else NOTHING,
        passes="yes" if any(sighting.passes_swlb for sighting in walk.answer) else "no",
        needs=_needs(lab.config),
    )


def expect_in_short(seen: InShort, expected: InShort) -> InShort:
    """What was seen, which is as expected. Raises Surprise where it is not."""
    for field, what in COLUMNS.items():
        expect(f"what {what}" if field != "passes" else f"whether {what}", asdict(seen)[field], asdict(expected)[field])
    return seen


def row_of(lab_name: str, values: Mapping[str, str]) -> str:
    """The row of the table, in markdown; `values` by the name of the column."""
    return f"| `{lab_name}` | {' | '.join(values[column] for column in COLUMNS.values())} |"


def values_of(short: InShort) -> dict[str, str]:
    """Its values by the name of the column."""
    return {column: asdict(short)[field] for field, column in COLUMNS.items()}


def head_of_table() -> str:
    """The first two lines of the table."""
    return f"| lab | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 1)}"


def _names(lab: Lab) -> dict[str, str]:
    """Whose an address is: a host's, swlb's, a server's, or a VIP."""
    config = lab.config
    services = config.services.values()
    own = [address.ip for segment in config.segments.values() for address in segment.addresses]
    own += [address for service in services for address in service.source_pool]
    return {
        **{address.partition("/")[0]: host.name for host in lab.hosts.values() for address in host.addresses},
        **{str(address): "swlb" for address in own},
        **{str(server.address): "server" for service in services for server in service.servers.values()},
        **{str(vip): "VIP" for service in services for vip in service.vips},
    }


def _l4_ports(config: Config) -> set[str]:
    """The ports that mean something."""
    services = config.services.values()
    ports = [service.port_first for service in services] + [service.gue.port for service in services]
    ports += [server.port for service in services for server in service.servers.values() if server.port]
    return {str(port) for port in ports}


def _needs(config: Config) -> str:
    needs = dict(journey(config, config.services["web"]))["servers need"]
    return needs.removesuffix(f" {DOCTOR}").removesuffix(".")
