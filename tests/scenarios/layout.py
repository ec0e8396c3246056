"""What a scenario's network is made of, as values; network.py builds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

UP, DRAIN, MAINT = 1, 2, 4
TIMEOUTS = {"tcp_syn": 60.0, "tcp_established": 7440.0, "tcp_fin": 120.0, "tcp_closed": 10.0, "udp": 120.0,
            "udp_stream": 300.0}
# Which timeout each session state runs on, in the order of ext/tables/state.pxd.
TIMEOUT_OF_STATE = ("tcp_closed", "tcp_syn", "tcp_syn", "tcp_established", "tcp_fin", "tcp_fin", "tcp_fin", "tcp_fin",
                    "tcp_closed", "tcp_syn", "udp", "udp_stream")


@dataclass(frozen=True)
class Segment:
    """One broadcast domain. With `host` it has a kernel twin: a port named "<segment>-host".

    Ports in `plain` take neither super-frames nor partial checksums. With `tun` it is one without Ethernet: what
    the station behind it sends and gets has the headers that a TUN port puts on and takes off.
    """

    ports: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    host: bool = False
    ageing: float = 300.0
    fdb_limit: int = 8192
    mtu: Mapping[str, int] = field(default_factory=dict)   # by port; others have 1500
    private: bool = False
    masquerade: bool = False
    pool: tuple[str, ...] = ()                             # addresses in whose name it masquerades
    exit_ports: tuple[int, int] = (0, 0)                   # of its own address, for what leaves by it masqueraded
    vip_guard: bool = False
    plain: tuple[str, ...] = ()
    tun: bool = False


@dataclass(frozen=True)
class Server:
    """A real server; l4_port 0 keeps the port the client used; `ready` is UP, with DRAIN or MAINT beside it."""

    address: str
    l4_port: int = 0
    weight: int = 1
    ready: int = UP
    backup: bool = False
    limit: int = 0
    lower: int = 0


@dataclass(frozen=True)
class Service:
    """A service at one VIP or at one of each family; `port` is one or (first, last).

    `source_pool` has addresses that may stand for clients; source_nat is never, auto or always.
    """

    vips: tuple[str, ...]
    servers: tuple[Server, ...]
    port: int | tuple[int, int] = 80
    protocol: str = "tcp"
    refuse: str = "reset"
    orphans: str = "reset"
    on_down: str = "default"
    source_nat: str = "never"
    source_pool: tuple[str, ...] = ()
    source_ports: tuple[int, int] = (1024, 65535)
    source_spare: tuple[int, int] | None = None            # of swlb's own addresses the kernel's
    timeouts: Mapping[str, float] = field(default_factory=dict)
    forward: str = "nat"
    mss: str | int = "off"
    gue_port: int = 6080
    persistence: float | None = None                       # seconds
    persistence_masks: tuple[int, int] = (32, 128)         # of IPv4, of IPv6
    probe_idle: float | None = None                        # its servers can be probed through its VIP
    scheduler: str = "rr"
    hash_key: str = "source"
    requests: int = 0                                      # datagrams after which a session is spent; 0: none
    responses: int = 0
