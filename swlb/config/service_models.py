"""A service as values: what clients reach, the servers behind it, and how packets get to them and back."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from swlb.config.check_models import CHECK_FORMS, PROTOCOL_OF_TYPE, Check, read_checks, read_named, read_need
from swlb.config.check_values import read_percent
from swlb.config.forms import Datagrams, Flag, Host, IdleTime, L4Port, Name, Reject, named
from swlb.config.passive_models import Passive
from swlb.config.schedule_models import (
    DEFAULT_HASH_KEY,
    HASH_KEYS,
    OWN_PREFIX,
    MaxConnections,
    Persistence,
    Scheduler,
)
from swlb.config.values import (
    Address,
    PortRange,
    as_list,
    choice,
    expected,
    nonempty,
    read_l4_ports,
    read_mss,
    seconds,
    whole,
)
from swlb.durations import DAY

SOURCE_PORTS = PortRange(1024, 65535)  # those that no server keeps for privileged clients
TUNNELS = ("ipip", "gue")
IP_HEADER_LEN = {4: 20, 6: 40}  # without options and extension headers; swlb sends none
GUE_LEN = 12  # a UDP header and the four bytes of GUE


def _one_of_each_family(value: tuple[Address, ...]) -> tuple[Address, ...]:
    if len({address.version for address in value}) != len(value):
        raise expected("one address, or a list of one IPv4 and one IPv6 address")
    return value


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


TIMEOUTS = Timeouts()


@dataclass(frozen=True, kw_only=True)
class Gue:
    """Where a server takes packets that are wrapped in UDP; 6080 is the registered port."""

    port: L4Port = 6080


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server of a service. Without `port`, the port the client used is kept."""

    name: str
    address: Annotated[Host, Field(description="the server's address")]
    port: L4Port | None = None
    weight: Annotated[int, whole(0, 65535)] = 1
    backup: Flag = False
    max_connections: MaxConnections | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """What clients reach at a VIP. `timeouts` is complete: what the service leaves out is the configuration's own.

    So are `source_nat` and `mss`: what is left out is `auto` where `forward` has a use for it. `hash_key` is empty
    where the scheduler hashes nothing. A server that comes back takes `slow_start` seconds to weigh what it weighs. An
    empty `source_pool` is the address of the segment towards the server. Without `on_down`, the policy: UDP and closing
    TCP are rescheduled, established TCP is reset. A server is up when `need` (all, any) of its `checks` say so; the
    key `check` tells both. `fail_open` is a share: 0 is off. A client's next datagram is scheduled anew after
    `requests` of them (1 with `one_packet`), and once its server has sent `responses` for each.
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
    forward: Annotated[str, choice("nat", "dsr", "ipip", "gue")] = "nat"
    source_nat: Annotated[str, choice("auto", "always", "never")] = ""
    source_pool: Annotated[tuple[Host, ...], Field(description="a list of addresses")] = ()
    source_ports: Annotated[PortRange, PlainValidator(read_l4_ports)] = SOURCE_PORTS
    mss: Annotated[str | int, PlainValidator(read_mss)] = ""
    gue: Gue = Gue()
    scheduler: Scheduler = "rr"
    hash_key: Annotated[str, choice(*HASH_KEYS)] = ""
    persistence: Persistence | None = None
    slow_start: Annotated[float, seconds(0, DAY)] = 0.0
    checks: Annotated[
        tuple[Annotated[Check, BeforeValidator(read_named)], ...],
        BeforeValidator(read_checks),
        Field(validation_alias="check", description=CHECK_FORMS),
    ] = ()
    need: Annotated[str, PlainValidator(read_need), Field(validation_alias="check")] = "all"
    fail_open: Annotated[float, PlainValidator(read_percent)] = 0.0
    passive: Passive | None = None
    servers: Annotated[
        dict[Name, Server], BeforeValidator(named), Field(description="a mapping of names to servers")
    ] = field(default_factory=dict)
    refuse: Annotated[str, choice("reset", "unreachable", "drop")] = "reset"
    orphans: Reject = "reset"
    on_down: Annotated[str, choice("keep", "reschedule", "reset", "drop")] | None = None
    timeouts: Timeouts = TIMEOUTS
    one_packet: Flag = False
    requests: Datagrams | None = None
    responses: Datagrams | None = None

    def __post_init__(self) -> None:
        source_nat = self.source_nat or ("auto" if self.forward == "nat" else "never")
        hash_key = self.hash_key or DEFAULT_HASH_KEY.get(self.scheduler, "")
        mss = self.mss or ("auto" if self.is_tunnel and self.protocol == "tcp" else "off")
        object.__setattr__(self, "source_nat", source_nat)
        object.__setattr__(self, "mss", mss)
        object.__setattr__(self, "hash_key", hash_key)

    @property
    def datagrams_a_choice(self) -> int:
        """After how many datagrams of a client the next is scheduled anew; 0: not by their number."""
        return 1 if self.one_packet else self.requests or 0

    @property
    def port_first(self) -> int:
        """The lowest l4_port of the service."""
        return self.l4_ports.first

    @property
    def port_last(self) -> int:
        """The highest l4_port of the service."""
        return self.l4_ports.last

    @property
    def has_own_scheduler(self) -> bool:
        """Whether its scheduler is a class that somebody has written."""
        return self.scheduler.startswith(OWN_PREFIX)

    @property
    def is_direct(self) -> bool:
        """Whether the servers answer clients themselves, from the VIP."""
        return self.forward != "nat"

    @property
    def is_tunnel(self) -> bool:
        """Whether packets reach the servers inside other packets."""
        return self.forward in TUNNELS

    @property
    def checks_through_vip(self) -> tuple[Check, ...]:
        """Those of its checks whose probes go to the VIP."""
        return tuple(check for check in self.checks if self.via(check) == "vip")

    def check_name(self, number: int) -> str:
        """What programs call the check of that number: its own name, or the number where it stands in the service."""
        return self.checks[number].name or str(number)

    def check_words(self, number: int) -> str:
        """The same for people, who are told its type, too, where it has no name: 0 (tcp)."""
        return self.checks[number].name or f"{number} ({self.checks[number].type})"

    def via(self, check: Check) -> str:
        """Whom such a check asks: server or vip. Where servers have the VIP themselves, there, if it can be asked."""
        through_vip = self.is_direct and check.type != "agent" and not self.why_not_through_vip(check)
        return check.via or ("vip" if through_vip else "server")

    def vip_port(self, check: Check) -> int | None:
        """The port of the VIP that the check asks; None where a service of many ports leaves that open."""
        return check.port or (self.port_first if self.port_first == self.port_last else None)

    def why_not_through_vip(self, check: Check) -> str:
        """Why such a check cannot ask the VIP, in words; '' where it can."""
        protocol = PROTOCOL_OF_TYPE.get(check.type)
        if check.type == "icmp":
            return "swlb itself answers an echo to a VIP"
        if protocol is None:
            return f"a check of type {check.type} sends nothing itself"
        if protocol != self.protocol:
            return f"a check of type {check.type} speaks {protocol}, and the VIP's service is {self.protocol}"
        port = self.vip_port(check)
        if port is None:
            return "the VIP has many ports: the check's `port` says which"
        if not self.port_first <= port <= self.port_last:
            return f"port {port} of the VIP is not this service's"
        return ""

    def outer_len(self, server: Server) -> int:
        """Bytes that are put in front of a packet on its way to the server."""
        if not self.is_tunnel:
            return 0
        return IP_HEADER_LEN[server.address.version] + (GUE_LEN if self.forward == "gue" else 0)
