"""A balancer over a worker with ports of memory, as far as tests of the control plane need one: no device, no root."""

from collections.abc import Callable
from dataclasses import dataclass, field

from manual_clock import ManualClock

from swlb.balancer import Balancer
from swlb.build import Built, build
from swlb.build_ports import Opened, host_port_name
from swlb.config import Config, parse
from swlb.events import Events
from swlb.ports import Ports
from swlb.probes import Probe, Way, probe_of
from swlb.succession import up_at_start

CONFIG = """\
mode: routed
limits: {sessions: 100}
ports: {client: {tap: swc0}, web1: {tap: sws1}, web2: {tap: sws2}}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1, web2], addresses: [10.0.2.1/24, "fd00:2::1/64"]}
services:
  web:
    vip: [10.0.1.100, "fd00:1::100"]
    port: 80
    check: {type: tcp, initial: up}
    servers:
      web1: {address: 10.0.2.11, port: 8080, weight: 4}
      web2: {address: 10.0.2.12, port: 8080}
      web1v6: {address: "fd00:2::11", port: 8080}
  dns:
    vip: 10.0.1.100
    port: "53-54"
    protocol: udp
    servers: {ns1: {address: 10.0.2.11}}
"""


@dataclass
class Control:
    """What swlb.figures reads of a running swlb; time stands still unless moved."""

    config: Config
    built: Built
    events: Events
    clock: ManualClock
    balancer: Balancer
    ports: Ports = field(default_factory=lambda: Ports({}))

    def server(self, name: str, service: str = "web"):
        """The state of a server."""
        return self.balancer.servers[service, name]

    def kinds(self) -> list[str]:
        """The kinds of what has happened."""
        return [event["kind"] for event in self.events.rows()]


def control(
    text: str = CONFIG,
    *,
    change: Callable[[Config], Config] = lambda config: config,
    probe_of: Callable[[str], Probe] = probe_of,
) -> Control:
    """The configuration after `change`, built and balanced; checks are not started."""
    config = change(parse(text, file="test.yaml"))
    names = [*config.ports, *map(host_port_name, config.segments)]
    built = build(config, {name: Opened((), 1500) for name in names}, up_at_start=up_at_start(config))
    events, clock = Events(), ManualClock(100.0)
    ways = {(name, version): Way("lo") for name in config.segments for version in (4, 6)}
    balancer = Balancer(config, built, ways, clock, events, probe_of=probe_of)
    return Control(config, built, events, clock, balancer)
