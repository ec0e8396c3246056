"""The configuration as values: one class a mapping of the file, with the file's defaults.

Plain frozen dataclasses, built by hand in tests and labs; pydantic reads their annotations where they come
from a file (swlb.config). Durations are seconds. An attribute has its key's name, `vips` and `l4_ports` apart.
Services are in swlb.config.service_models.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, get_type_hints

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic.fields import FieldInfo

from swlb.config.check_models import Check, Step
from swlb.config.forms import Flag, Host, Name, TableSize, named
from swlb.config.members import Member, read_member
from swlb.config.passive_models import Passive
from swlb.config.schedule_models import Persistence
from swlb.config.service_models import TIMEOUTS, Gue, Server, Service, Timeouts
from swlb.config.values import (
    DEVICE,
    DEVICE_MAX_LEN,
    NAMESPACE,
    Address,
    Interface,
    Network,
    choice,
    matching,
    nonempty,
    read_interface,
    read_masquerade,
    read_network,
    read_rate,
    seconds,
    whole,
)
from swlb.durations import DAY

A_DEVICE = f"a device name of at most {DEVICE_MAX_LEN} characters, without spaces and '/', ':' or '%'"

DeviceName = Annotated[str, matching(DEVICE, A_DEVICE)]


def _default_route(value: object) -> object:
    """A route to `default` leads to all addresses of the family of its `via`."""
    if isinstance(value, dict) and value.get("to") == "default" and ":" in str(value.get("via")):
        return {**value, "to": "::/0"}
    return value


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes of the tables, fixed at start, and the rate of swlb's own ICMP errors (a second)."""

    sessions: TableSize = 1_000_000
    half_open: TableSize = 65_536
    sessions_per_source: TableSize | None = None
    fragments: TableSize = 4096
    neighbours: TableSize = 8192
    icmp_errors: Annotated[int, PlainValidator(read_rate)] = 1000

    @property
    def half_open_quota(self) -> int:
        """Sessions that may be half open: never more than half of all."""
        return max(1, min(self.half_open, self.sessions // 2))


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the switch: one of a TAP that swlb creates, an interface that is there already, or a TUN.

    The kernel's end of it may live in another namespace.
    """

    name: str
    tap: DeviceName | None = None
    packet: DeviceName | None = None
    tun: DeviceName | None = None
    netns: Annotated[str, matching(NAMESPACE, "the name of a network namespace, as `ip netns` lists it")] | None = None
    # 68 is the least of RFC 791; a frame of 65521 + 14 bytes is the most an IPv4 length can fill.
    mtu: Annotated[int, whole(68, 65521)] = 1500

    @property
    def kinds(self) -> tuple[str, ...]:
        """The keys that say what it is; a rule sees to it that there is one."""
        return tuple(kind for kind in ("tap", "packet", "tun") if getattr(self, kind) is not None)

    @property
    def kind(self) -> str:
        """tap, packet or tun."""
        return self.kinds[0]

    @property
    def device(self) -> str:
        """The name of its device."""
        name: str = getattr(self, self.kind)
        return name


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One L2 broadcast domain. With addresses, swlb is a router on it.

    `ports` are names of ports, or of one VLAN of a port (`port.VID`): Config.member tells which.
    `masquerade` is as whom its hosts speak to other segments: off, as themselves; on, as swlb's address there; or as
    one of these addresses.
    """

    name: str
    ports: Annotated[
        tuple[Name, ...], BeforeValidator(nonempty("at least one port")), Field(description="a list of ports")
    ]
    addresses: Annotated[
        tuple[Annotated[Interface, PlainValidator(read_interface)], ...], Field(description="a list of addresses")
    ] = ()
    ageing: Annotated[float, seconds(1, 10 * DAY)] = 300.0
    fdb_limit: TableSize = 8192
    access: Annotated[str, choice("open", "private")] = "open"
    masquerade: Annotated[str | tuple[Address, ...], PlainValidator(read_masquerade)] = "off"
    vip_guard: Flag = False


@dataclass(frozen=True, kw_only=True)
class Route:
    """Packets to the prefix go to the neighbour `via`."""

    to: Annotated[Network, PlainValidator(read_network), Field(description="a prefix or default")]
    via: Annotated[Host, Field(description="the address of a router in a segment's subnet")]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything one file says. `mode` and `topology` are statements about the rest, nothing else."""

    mode: Annotated[str, choice("transparent", "routed", "dsr")] | None = None
    topology: Annotated[str, choice("inline", "one-arm")] | None = None
    workers: Annotated[int, whole(1, 16)] = 1
    limits: Limits = Limits()
    timeouts: Timeouts = TIMEOUTS
    ports: Annotated[
        dict[Name, Port],
        BeforeValidator(named),
        BeforeValidator(nonempty("at least one port")),
        Field(description="a mapping of names to ports"),
    ]
    segments: Annotated[
        dict[Name, Segment],
        BeforeValidator(named),
        BeforeValidator(nonempty("at least one segment")),
        Field(description="a mapping of names to segments"),
    ]
    routes: Annotated[
        tuple[Annotated[Route, BeforeValidator(_default_route)], ...],
        Field(description="a list of {to: ..., via: ...}"),
    ] = ()
    checks: Annotated[
        dict[Name, Check], BeforeValidator(named), Field(description="a mapping of names to checks")
    ] = field(default_factory=dict)
    services: Annotated[
        dict[Name, Service], BeforeValidator(named), Field(description="a mapping of names to services")
    ] = field(default_factory=dict)

    def member(self, name: str) -> Member:
        """What a name in a segment's list of ports means."""
        member = read_member(name, self.ports)
        assert member is not None, "the configuration's check has let a member through that is no port"
        return member

    def port_of(self, name: str) -> Port:
        """The port that a segment's member is, or is a VLAN of."""
        return self.ports[self.member(name).port]

    def ports_of(self, segment: Segment) -> list[Port]:
        """The ports of the segment's members. Of a draft, those that there are."""
        return [self.ports[member.port] for member in self._members(segment)]

    def has_vlans(self, segment: Segment) -> bool:
        """Whether a member of the segment is a VLAN of a port."""
        return any(member.vid for member in self._members(segment))

    @property
    def trunks(self) -> set[str]:
        """The ports that have VLANs in segments."""
        members = [member for segment in self.segments.values() for member in self._members(segment)]
        return {member.port for member in members if member.vid}

    def _members(self, segment: Segment) -> list[Member]:
        members = [read_member(name, self.ports) for name in segment.ports]
        return [member for member in members if member is not None]


# Where a check may stand in a file; `*` is any name or index. At the second of them Several may stand as well.
CHECK_PLACES: tuple[tuple[str, ...], ...] = (
    ("checks", "*"),
    ("services", "*", "check"),
    ("services", "*", "check", "all", "*"),
    ("services", "*", "check", "any", "*"),
)
# Where each class stands in a file.
PLACES: dict[tuple[str, ...], type] = {
    (): Config,
    ("limits",): Limits,
    ("timeouts",): Timeouts,
    ("ports", "*"): Port,
    ("segments", "*"): Segment,
    ("routes", "*"): Route,
    ("services", "*"): Service,
    ("services", "*", "timeouts"): Timeouts,
    **dict.fromkeys(CHECK_PLACES, Check),
    **{(*place, "steps", "*"): Step for place in CHECK_PLACES},
    ("services", "*", "passive"): Passive,
    ("services", "*", "persistence"): Persistence,
    ("services", "*", "gue"): Gue,
    ("services", "*", "servers", "*"): Server,
}


def check_place(service: Service, number: int) -> tuple[str | int, ...]:
    """Where the service's check of that number stands in the file, unless it is one of the top level."""
    return ("services", service.name, "check", *((service.need, number) if len(service.checks) > 1 else ()))


def placed_checks(config: Config) -> Iterator[tuple[tuple[str | int, ...], Check]]:
    """Every check of the file and where it stands: those that services share once, where they have their names."""
    for name, check in config.checks.items():
        yield ("checks", name), check
    for service in config.services.values():
        for number, check in enumerate(service.checks):
            if not check.name:
                yield check_place(service, number), check


def keys_of(model: type) -> dict[str, str]:
    """The keys a mapping of the file may have, each with what is expected there (every required key says so)."""
    keys = {}
    for name, hint in get_type_hints(model, include_extras=True).items():
        fields = [entry for entry in getattr(hint, "__metadata__", ()) if isinstance(entry, FieldInfo)]
        aliases = [str(entry.validation_alias) for entry in fields if entry.validation_alias]
        descriptions = [entry.description for entry in fields if entry.description]
        if name != "name":
            keys[(aliases or [name])[0]] = (descriptions or [""])[0]
    return keys
