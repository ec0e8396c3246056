"""Every way swlb may stand and forward, as data: a further mode is a further entry of MODES.

`standing` runs swlb in a mode on its ground, with the servers set up as `swlb doctor` says, and `serving` serves there.
Services: `web` (TCP 80, HTTP, checked), `echo` (UDP 7) and `bulk` (TCP 5001, whose connections are handed to who asks).
"""

import json
import queue
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from netns.grounds import (
    INSIDE,
    SERVERS,
    Ground,
    Make,
    at,
    beside_router,
    beside_switch,
    beside_switch_as_gateway,
    routed,
    transparent,
    two_legs,
)
from netns.running import Host, Swlb, ip, running, wait_until
from netns.settings import settled
from netns.traffic import http_server, listening, udp_echo

WEB, ECHO, BULK = 80, 7, 5001
TRANSLATED = 8000  # added to a service's port where swlb may translate it
NARROW_MTU, WIDE_MTU = 1400, 1500
WIDE_MSS = {4: 1460, 6: 1440}

# So short that a test sees a server go and come; `response` leaves room for a busy machine.
CHECK = {"type": "tcp", "interval": "200ms", "response": "500ms", "retries": 2, "timeout": "2s",
         "dead_interval": "200ms", "rise": 2}  # fmt: skip


@dataclass(frozen=True)
class Mode:
    """One way: the ground, what the configuration says beyond it, and what is then true of a packet.

    `source` is whom servers see in the client's place, None the client itself. `hops`: routers that a request meets,
    swlb among them where it is one. Of tunnels: `outer` is the bytes it takes, `outside` the IP version of the outer
    packet, `unpacks` who takes that off: `decap` of swlb, or the `kernel`. `check`: what the check of web says beyond.
    """

    name: str
    lay: Callable[[Make], Ground]
    top: Mapping[str, Any]
    service: Mapping[str, Any] = field(default_factory=dict)
    inside: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[int, str] | None = None
    hops: int = 0
    outer: int = 0
    outside: int = 0
    unpacks: str = ""
    check: Mapping[str, Any] = field(default_factory=dict)

    @property
    def forward(self) -> str:
        return self.service.get("forward", "nat")

    @property
    def is_direct(self) -> bool:
        return self.forward != "nat"

    def port(self, of_service: int) -> int:
        """Where servers serve the service."""
        return of_service if self.is_direct else of_service + TRANSLATED

    def families(self) -> Sequence[int]:
        """Of the servers' addresses."""
        return (self.outside,) if self.outside else (4, 6)


POOL = at(0, 9)
INLINE, BESIDE, DIRECT = {"mode": "routed"}, {"mode": "routed", "topology": "one-arm"}, {"mode": "dsr"}
IPIP, GUE = {"forward": "ipip"}, {"forward": "gue"}
ON_WIRES = dict.fromkeys(("client", *SERVERS), "packet")

# A link may be behind swlb and not before it, and carry less. Where servers are beside the client there is none.
BEFORE_A_LINK = (
    Mode("routed", routed, INLINE, hops=1),
    Mode("routed-private", routed, INLINE, inside={"access": "private", "masquerade": "on"}, hops=1),
    Mode("routed-snat", routed, INLINE, {"source_nat": "always"}, source=at(INSIDE, 1), hops=1),
    Mode("transparent", transparent, {"mode": "transparent"}),
    Mode("one-arm-router", beside_router, BESIDE,
         {"source_nat": "always", "source_pool": list(POOL.values())}, source=POOL, hops=1),
    Mode("dsr", two_legs, DIRECT, {"forward": "dsr"}),
    Mode("ipip", two_legs, DIRECT, IPIP, outer=20, outside=4, unpacks="decap"),
    Mode("ipip-in-ipv6", two_legs, DIRECT, IPIP, outer=40, outside=6, unpacks="kernel"),
    Mode("gue", two_legs, DIRECT, GUE, outer=32, outside=4, unpacks="kernel"),
    Mode("gue-in-ipv6", two_legs, DIRECT, GUE, outer=52, outside=6, unpacks="decap"),
    Mode("one-arm-ipip", beside_router, DIRECT | {"topology": "one-arm"}, IPIP, outer=20, outside=4, unpacks="decap"),
    Mode("packet", partial(routed, kinds=ON_WIRES), INLINE, hops=1),
    Mode("packet-transparent", partial(transparent, kinds=ON_WIRES), {"mode": "transparent"}),
    Mode("tun", partial(routed, kinds={"client": "tun"}), INLINE, hops=1),
)  # fmt: skip
ON_ONE_SWITCH = (
    Mode("one-arm", beside_switch, {"mode": "transparent", "topology": "one-arm"}, source=at(0, 1)),
    Mode("one-arm-gateway", beside_switch_as_gateway, BESIDE, {"source_nat": "never"}),
    Mode("one-arm-dsr", beside_switch, DIRECT | {"topology": "one-arm"}, {"forward": "dsr"}),
)
MODES = (*BEFORE_A_LINK, *ON_ONE_SWITCH)


def services_of(mode: Mode, ground: Ground, further: Mapping[str, Mapping[str, Any]] = {}) -> dict[str, Any]:
    """The three services and what `further` says of others, of all servers of the ground."""

    def servers(port: int | str) -> dict[str, Any]:
        of_port = {"port": mode.port(port)} if isinstance(port, int) and not mode.is_direct else {}
        return {
            f"{host.name}v{family}": {"address": host.address(family), **of_port}
            for family in mode.families()
            for host in ground.servers
        }

    vip = list(ground.vips.values())
    web, echo, bulk = ({"vip": vip, "port": port, "servers": servers(port), **mode.service}
                       for port in (WEB, ECHO, BULK))  # fmt: skip
    web["check"] = {**CHECK, **mode.check}
    others = {name: {"vip": vip, "servers": servers(of["port"]), **mode.service, **of} for name, of in further.items()}
    return {"web": web, "echo": {**echo, "protocol": "udp"}, "bulk": bulk, **others}


def config_of(mode: Mode, ground: Ground, services: Mapping[str, Any]) -> str:
    """The configuration of the mode on its ground with these services; JSON is YAML."""
    segments = {name: dict(segment) for name, segment in ground.segments.items()}
    segments[next(reversed(segments))] |= mode.inside
    config = {
        **mode.top,
        "limits": {"sessions": 10_000},
        "ports": dict(ground.ports),
        "segments": segments,
        "routes": list(ground.routes),
        "services": services,
    }
    return json.dumps(config, indent=1)


@dataclass(frozen=True)
class Standing:
    """A running swlb in a mode, and the ground it stands on."""

    mode: Mode
    ground: Ground
    swlb: Swlb

    @property
    def client(self) -> Host:
        return self.ground.client

    def vip(self, family: int) -> str:
        return self.ground.vips[family]

    def seen_source(self, family: int) -> str:
        """Whom servers see as the client."""
        return self.mode.source[family] if self.mode.source else self.client.address(family)

    def seen_address(self, host: Host, family: int) -> str:
        """What the server sees as the destination."""
        return self.vip(family) if self.mode.is_direct else host.address(family)

    def of_web(self, host: Host) -> list[str]:
        """What the host is called as a server of service web."""
        return [f"web/{host.name}v{family}" for family in self.mode.families()]


@contextmanager
def standing(
    mode: Mode, make: Make, directory: Path, *, options: Sequence[str] = (),
    further: Mapping[str, Mapping[str, Any]] = {},
) -> Iterator[Standing]:
    """Within the block swlb runs in the mode and its servers are set up for it; nobody serves yet."""
    ground = mode.lay(make)
    config = config_of(mode, ground, services_of(mode, ground, further))
    stations = [*ground.hosts.values(), *(door for door in ground.doors if door.switch)]
    with (
        running(config, netns=ground.own, directory=directory, hosts=stations, options=options) as swlb,
        settled(swlb.file, ground.servers, unpacks=mode.unpacks),
    ):
        yield Standing(mode, ground, swlb)


@dataclass(frozen=True)
class Served:
    """What serves: to be closed server by server, and started again; `bulk` has the server's end of connections."""

    at: Standing
    stacks: Mapping[str, ExitStack]
    bulk: queue.Queue[tuple[Host, socket.socket]]

    def start(self, host: Host) -> None:
        """The host serves all services."""
        mode, stack = self.at.mode, self.stacks[host.name]
        for family in (4, 6):
            address = self.at.seen_address(host, family)
            stack.enter_context(http_server(host, address, mode.port(WEB)))
            stack.enter_context(udp_echo(host, address, mode.port(ECHO)))
            stack.enter_context(listening(host, address, mode.port(BULK), partial(self._hand_over, host)))

    def stop(self, host: Host) -> None:
        self.stacks[host.name].close()

    def _hand_over(self, host: Host, connection: socket.socket) -> None:
        self.bulk.put((host, connection.dup()))


@contextmanager
def serving(at: Standing) -> Iterator[Served]:
    """Within the block every server serves everything, and swlb knows that it does."""
    with ExitStack() as stack:
        stacks = {name: stack.enter_context(ExitStack()) for name in SERVERS}
        served = Served(at, stacks, queue.Queue())
        for host in at.ground.servers:
            served.start(host)
        at.swlb.wait_operational("up", within=15)
        yield served


@contextmanager
def narrowed(at: Standing) -> Iterator[list[int]]:
    """Within the block the link behind swlb carries 1400 bytes; what clients are told, at last that.

    Servers do not tell TCP so: segments would fit by themselves, and nobody would have to discover anything.
    """
    with ExitStack() as stack:
        stack.callback(forget_paths, at)
        _set_mtu(at, NARROW_MTU)
        stack.callback(_set_mtu, at, WIDE_MTU)
        for host in at.ground.servers:
            for family in (4, 6):
                stack.enter_context(telling_mss(host, at.seen_source(family), WIDE_MSS[family]))
        # A link farther away comes to light when a packet fits into the tunnel.
        first = [] if at.ground.narrow_ports or not at.mode.outer else [WIDE_MTU]
        yield [mtu - at.mode.outer for mtu in (*first, NARROW_MTU)]


@contextmanager
def telling_mss(host: Host, address: str, mss: int) -> Iterator[None]:
    """Within the block TCP of the host tells that address this MSS, whatever the host's link carries."""
    family = 6 if ":" in address else 4
    found = host.ip(f"-{family} route get {address}").split()
    via = f"via {found[found.index('via') + 1]}" if "via" in found else ""
    host.ip(f"-{family} route add {address} {via} dev {host.device} advmss {mss}")
    try:
        yield
    finally:
        host.ip(f"-{family} route delete {address} dev {host.device}")


def _set_mtu(at: Standing, mtu: int) -> None:
    for netns, device in at.ground.narrow:
        ip(netns, f"link set {device} mtu {mtu}")
    for port in at.ground.narrow_ports:
        wait_until(lambda port=port: at.swlb.row("ports", port=port)["mtu"] == mtu, f"{port} has mtu {mtu}")


def forget_paths(at: Standing) -> None:
    """No kernel remembers what it has learnt of a path's MTU."""
    for host in at.ground.hosts.values():
        for family in (4, 6):
            host.ip(f"-{family} route flush cache")
