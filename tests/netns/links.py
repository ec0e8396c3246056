"""The links around a ground, laid anew with other MTUs while swlb stands on it."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from netns.grounds import SERVERS
from netns.modes import WIDE_MTU, Standing, telling_mss
from netns.running import Host, ip, wait_until

MTUS = (9000, 1500, 1400, 1280)
MSS = {4: MTUS[0] - 40, 6: MTUS[0] - 60}
LEG = "leg"  # of the client, to the host "far", where it is the router of one


@dataclass(frozen=True)
class Links:
    """The MTUs on the way; `far` is the link beyond a router in front of swlb, 0 where there is no such router."""

    front: int
    behind: int
    far: int = 0

    def __str__(self) -> str:
        return f"{self.front}+{self.far}" if self.far else f"{self.front}>{self.behind}"


@contextmanager
def laid(at: Standing) -> Iterator[Callable[[Links], None]]:
    """Within the block a call lays links of these MTUs, and nobody tells TCP of them; afterwards all is as it was."""
    with ExitStack() as stack:
        for family in (4, 6):
            for host, address in _talks(at, family):
                stack.enter_context(telling_mss(host, address, MSS[family]))
        stack.callback(_lay, at, Links(WIDE_MTU, WIDE_MTU))
        yield partial(_lay, at)


def _talks(at: Standing, family: int) -> list[tuple[Host, str]]:
    """Every host and whom it speaks to."""
    clients = [host for name, host in at.ground.hosts.items() if name not in SERVERS]
    seen = {at.mode.source[family]} if at.mode.source else {host.address(family) for host in clients}
    return [(host, at.vip(family)) for host in clients] + list(itertools.product(at.ground.servers, seen))


def _lay(at: Standing, links: Links) -> None:
    """The links have these MTUs, swlb knows, and nobody remembers what others carried."""
    ground = at.ground
    far = [(ground.hosts["far"].netns, "eth0"), (ground.client.netns, LEG)] if "far" in ground.hosts else []
    for ends, mtu in ((ground.front, links.front), (ground.narrow, links.behind), (far, links.far or links.front)):
        for netns, device in ends:
            ip(netns, f"link set {device} mtu {mtu}")
    wanted = dict.fromkeys(ground.narrow_ports, links.behind) | dict.fromkeys(ground.front_ports, links.front)

    def known() -> bool:
        mtus = {row["port"]: row["mtu"] for row in at.swlb.show("ports")}
        return all(mtus[port] == mtu for port, mtu in wanted.items())

    wait_until(known, f"ports know {links}")
    for host in ground.hosts.values():
        for family in (4, 6):
            host.ip(f"-{family} route flush cache")
