"""The configuration as values: one class a mapping of the file, with the file's defaults.

Plain frozen dataclasses, built by hand in tests and labs; pydantic reads their annotations where they come
from a file (swlb.config). Durations are seconds. An attribute has its key's name, `vips` and `l4_ports` apart.
"""

from dataclasses import dataclass, field
from typing import Annotated, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic.fields import FieldInfo

from swlb.config.values import (
    DEVICE,
    DEVICE_MAX_LEN,
    NAME,
    NAMESPACE,
    Address,
    Interface,
    Network,
    PortRange,
    as_list,
    choice,
    expected,
    matching,
    nonempty,
    read_host,
    read_interface,
    read_l4_ports,
    read_network,
    read_rate,
    seconds,
    whole,
)
from swlb.durations import DAY

A_NAME = "a name of 1 to 63 letters, digits, '_', '.' and '-'"
A_DEVICE = f"a device name of at most {DEVICE_MAX_LEN} characters, without spaces and '/', ':' or '%'"

Name = Annotated[str, matching(NAME, A_NAME)]
Host = Annotated[Address, PlainValidator(read_host)]
L4Port = Annotated[int, whole(1, 65535, "a port number")]
TableSize = Annotated[int, whole(1, 16_777_216)]
IdleTime = Annotated[float, seconds(0.001, 10 * DAY)]
ProbeTime = Annotated[float, seconds(0.01, DAY)]
Count = Annotated[int, whole(1, 1000)]
Reject = Annotated[str, choice("reset", "drop")]


def _named(value: object) -> object:
    """Each mapping of a mapping learns the name it stands under."""
    if not isinstance(value, dict):
        return value
    return {name: {**entry, "name": name} if isinstance(entry, dict) else entry for name, entry in value.items()}


def _default_route(value: object) -> object:
    """A route to `default` leads to all addresses of the family of its `via`."""
    if isinstance(value, dict) and value.get("to") == "default" and ":" in str(value.get("via")):
        return {**value, "to": "::/0"}
    return value


def _one_of_each_family(value: tuple[Address, ...]) -> tuple[Address, ...]:
    if len({address.version for address in value}) != len(value):
        raise expected("one address, or a list of one IPv4 and one IPv6 address")
    return value


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes of the tables, fixed at start, and the rate of swlb's own ICMP errors (a second)."""

    sessions: TableSize = 1_000_000
    fragments: TableSize = 4096
    neighbours: TableSize = 8192
    icmp_errors: Annotated[int, PlainValidator(read_rate)] = 1000


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Idle times by state. `udp` is one way, `udp_stream` both."""

    tcp_syn: IdleTime = 60.0
    tcp_established: IdleTime = 7440.0
    tcp_fin: IdleTime = 120.0
    tcp_closed: IdleTime = 10.0
    udp: IdleTime = 120.0
    udp_stream: IdleTime = 300.0
    icmp: IdleTime = 60.0
    fragment: IdleTime = 30.0
    neighbour: IdleTime = 60.0


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the switch: a TAP device whose kernel end may live in another namespace."""

    name: str
    tap: Annotated[str, matching(DEVICE, A_DEVICE), Field(description=A_DEVICE)]
    netns: Annotated[str, matching(NAMESPACE, "the name of a network namespace, as `ip netns` lists it")] | None = None
    # 68 is the least of RFC 791; a frame of 65521 + 14 bytes is the most an IPv4 length can fill.
    mtu: Annotated[int, whole(68, 65521)] = 1500


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One L2 broadcast domain. With addresses, swlb is a router on it."""

    name: str
    ports: Annotated[
        tuple[Name, ...], BeforeValidator(nonempty("at least one port")), Field(description="a list of ports")
    ]
    addresses: Annotated[
        tuple[Annotated[Interface, PlainValidator(read_interface)], ...], Field(description="a list of addresses")
    ] = ()
    ageing: Annotated[float, seconds(1, 10 * DAY)] = 300.0
    fdb_limit: TableSize = 8192
    access: Annotated[str, choice("open")] = "open"
    masquerade: Annotated[str, choice("off")] = "off"


@dataclass(frozen=True, kw_only=True)
class Route:
    """Packets to the prefix go to the neighbour `via`."""

    to: Annotated[Network, PlainValidator(read_network), Field(description="a prefix or default")]
    via: Annotated[Host, Field(description="the address of a router in a segment's subnet")]


@dataclass(frozen=True, kw_only=True)
class Check:
    """How a service's servers are probed. Without `port`, the server's own."""

    type: Annotated[str, choice("tcp", "icmp")] = "tcp"
    port: L4Port | None = None
    via: Annotated[str, choice("server")] = "server"
    initial: Annotated[str, choice("up", "down", "checking")] = "checking"
    interval: ProbeTime = 2.0
    response: ProbeTime = 1.0
    retries: Count = 3
    timeout: Annotated[float, seconds(0, DAY)] = 5.0
    dead_interval: ProbeTime = 10.0
    rise: Count = 2


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server of a service. Without `port`, the port the client used is kept."""

    name: str
    address: Annotated[Host, Field(description="the server's address")]
    port: L4Port | None = None
    weight: Annotated[int, whole(0, 65535)] = 1


@dataclass(frozen=True, kw_only=True)
class Service:
    """What clients reach at a VIP. `timeouts` is complete: what the service leaves out is the configuration's own.

    Without `on_down`, the policy: UDP and closing TCP are rescheduled, established TCP is reset.
    """

    name: str
    vips: Annotated[
        tuple[Host, ...],
        BeforeValidator(as_list),
        BeforeValidator(nonempty("at least one address")),
        AfterValidator(_one_of_each_family),
        Field(validation_alias="vip", description="the virtual IP address, or a list of one IPv4 and one IPv6 address"),
    ]
    l4_ports: Annotated[
        PortRange,
        PlainValidator(read_l4_ports),
        Field(validation_alias="port", description='a port, a range such as "8000-8099", or any'),
    ]
    protocol: Annotated[str, choice("tcp", "udp")] = "tcp"
    forward: Annotated[str, choice("nat")] = "nat"
    source_nat: Annotated[str, choice("never")] = "never"
    scheduler: Annotated[str, choice("rr")] = "rr"
    check: Check | None = None
    servers: Annotated[
        dict[Name, Server], BeforeValidator(_named), Field(description="a mapping of names to servers")
    ] = field(default_factory=dict)
    refuse: Reject = "reset"
    orphans: Reject = "reset"
    on_down: Annotated[str, choice("keep", "reschedule", "reset", "drop")] | None = None
    timeouts: Timeouts = Timeouts()

    @property
    def port_first(self) -> int:
        """The lowest l4_port of the service."""
        return self.l4_ports.first

    @property
    def port_last(self) -> int:
        """The highest l4_port of the service."""
        return self.l4_ports.last


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything one file says. `mode` and `topology` are statements about the rest, nothing else."""

    mode: Annotated[str, choice("transparent", "routed")] | None = None
    topology: Annotated[str, choice("inline")] = "inline"
    workers: Annotated[int, whole(1, 16)] = 1
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    ports: Annotated[
        dict[Name, Port],
        BeforeValidator(_named),
        BeforeValidator(nonempty("at least one port")),
        Field(description="a mapping of names to ports"),
    ]
    segments: Annotated[
        dict[Name, Segment],
        BeforeValidator(_named),
        BeforeValidator(nonempty("at least one segment")),
        Field(description="a mapping of names to segments"),
    ]
    routes: Annotated[
        tuple[Annotated[Route, BeforeValidator(_default_route)], ...],
        Field(description="a list of {to: ..., via: ...}"),
    ] = ()
    services: Annotated[
        dict[Name, Service], BeforeValidator(_named), Field(description="a mapping of names to services")
    ] = field(default_factory=dict)


# Where each class stands in a file; `*` is any name or index.
PLACES: dict[tuple[str, ...], type] = {
    (): Config,
    ("limits",): Limits,
    ("timeouts",): Timeouts,
    ("ports", "*"): Port,
    ("segments", "*"): Segment,
    ("routes", "*"): Route,
    ("services", "*"): Service,
    ("services", "*", "timeouts"): Timeouts,
    ("services", "*", "check"): Check,
    ("services", "*", "servers", "*"): Server,
}


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
