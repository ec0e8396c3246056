"""The same frames through ports that merge datagrams and through ports that do not; what left is compared.

    way = Way("request", routed, 4)
    twins = Twins(way)
    frames = twins.send(way.packet(twins, b"a" * 10), way.packet(twins, b"b" * 10))
    assert [pieces for pieces in frames] == [2]          # one super-frame of two datagrams; compared already

Super-frames are cut by tests/oracle/segment.py, in which scapy makes every datagram anew.
"""

import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from scapy.packet import Packet

from tests.oracle.checksum import l4_of, ones_sum, packet_len
from tests.oracle.segment import ETHER_LEN, cut

from .balanced import Scene, ip, routed, transparent
from .frames import NO_OFFLOAD, UDP, Ether, differences

PORT = 9000              # of no service: what is sent there is routed
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
Frame = tuple[bytes, bytes]      # offload header, frame


@dataclass(frozen=True)
class Way:
    """Which way datagrams go: a client's request, a server's reply, or a packet that is just routed."""

    kind: str
    shape: Callable[..., Scene]
    family: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.shape.__name__}-v{self.family}"

    def packet(self, twins: "Twins", payload: bytes = b"x" * 20, *, flow: int = 0, **fields: Any) -> Packet:
        """A datagram of that flow, as a Linux socket sends it: DF is set. Fields are UDP's."""
        scene, port = twins.plain, 40000 + flow
        if self.kind == "request":
            packet = scene.request(sport=port, payload=payload, **fields)
        elif self.kind == "reply":
            packet = scene.reply(0, dport=port, payload=payload, **fields)
        else:
            udp = UDP(sport=port, dport=PORT, **fields)
            packet = (ip(scene.client.addresses[0], scene.servers[0].addresses[0])
                      / (udp / payload if payload else udp))
        if self.family == 4:
            packet.flags = "DF"
        return packet

    @property
    def port(self) -> str:
        """Where they leave."""
        return "client" if self.kind == "reply" else "server0"


WAYS = [Way(kind, shape, family) for kind, shape in (("request", routed), ("reply", routed), ("routed", routed),
                                                     ("request", transparent), ("reply", transparent))
        for family in (4, 6)]
ON_ALL_WAYS = pytest.mark.parametrize("way", WAYS, ids=str)


class Twins:
    """Two scenes that differ only in whether their ports merge; both are sent the same."""

    def __init__(self, way: Way, *, flows: int = 1, **given: Any) -> None:
        self.way = way
        # One secret for both, as the identifications that fragments get begin with it.
        with patch("os.urandom", return_value=bytes(range(1, 9))):
            self.merging, self.plain = (
                way.shape(way.family, protocol="udp", merges=merges, **{"n_servers": 1, **given})
                for merges in (True, False))
        if way.kind == "reply":
            for flow in range(flows):
                self.each(lambda scene, flow=flow: scene.call(sport=40000 + flow))

    def each(self, do: Callable[[Scene], Any]) -> list[Any]:
        """What came of it in both scenes, the merging one first."""
        return [do(scene) for scene in (self.merging, self.plain)]

    def frame(self, packet: Packet) -> Packet:
        """The packet in its sender's frame."""
        scene = self.plain
        if self.way.kind == "reply":
            return scene.servers[0].frame(packet, to=None if scene.hops_lost else scene.client.mac)
        return scene.client.frame(packet)

    def put(self, *frames: Packet | Frame) -> None:
        """Packets, or frames of one's own making with their offload headers, have come in in one burst."""
        raw = [frame if isinstance(frame, tuple) else (NO_OFFLOAD, bytes(self.frame(frame))) for frame in frames]
        port = "server0" if self.way.kind == "reply" else "client"

        def put(scene: Scene) -> None:
            for offload, frame in raw:
                assert scene.net.worker.put(scene.net.ports[port], frame, offload)
            while scene.net.worker.turn(scene.net.now_ns):
                pass

        self.each(put)

    def taken(self, port: str | None = None) -> list[Frame]:
        """What left the merging port; that it is, flow by flow, what left the other has been seen to."""
        merged, plain = self.each(lambda scene: scene.net.take_raw(port or self.way.port))
        flows, wanted = (by_flow([piece for frame in frames for piece in cut(*frame)]) for frames in (merged, plain))
        for flow in flows.keys() | wanted.keys():
            got, want = flows.get(flow, []), wanted.get(flow, [])
            assert got == want, f"flow {flow}{differences(got, want)}"
        return merged

    def send(self, *frames: Packet | Frame) -> list[int]:
        """Of how many datagrams each frame is that left for the burst, in order; judged as by `taken`."""
        self.put(*frames)
        return [len(cut(*frame)) for frame in self.taken()]


def by_flow(frames: list[bytes]) -> dict[tuple, list[bytes]]:
    """What has to be the same in both runs: each flow's datagrams in their order."""
    flows = defaultdict(list)
    for frame in frames:
        flows[flow_of(frame)].append(image(frame))
    return dict(flows)


def flow_of(frame: bytes) -> tuple:
    """MACs, addresses, protocol and ports; of other frames and of later fragments as much as there is."""
    packet = frame[ETHER_LEN:]
    if frame[12:14] not in (IPV4, IPV6):
        return (frame[:14],)
    at, protocol, _ = l4_of(packet)
    ends = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    later = packet[0] >> 4 == 4 and struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
    return (frame[:14], ends, protocol, None if later else packet[at:at + 4])


def image(frame: bytes) -> bytes:
    """The frame's bytes but for padding and the IPv4 identification, which says nothing where DF is set (RFC 6864)."""
    packet = frame[ETHER_LEN:]
    if frame[12:14] not in (IPV4, IPV6):
        return frame
    packet = packet[:packet_len(packet)]
    if packet[0] >> 4 == 4:
        header = packet[:(packet[0] & 15) * 4]
        assert ones_sum(header) == 0xFFFF, f"wrong IPv4 header checksum: {header.hex()}"
        if header[6] & 0x40:
            packet = packet[:4] + b"??" + packet[6:10] + b"??" + packet[12:]
    return frame[:ETHER_LEN] + packet


__all__ = ["NO_OFFLOAD", "ON_ALL_WAYS", "PORT", "WAYS", "Ether", "Frame", "Twins", "Way", "by_flow"]
