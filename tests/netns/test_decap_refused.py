"""What `swlb decap` does not let in is counted, each packet with its reason."""

import re
import signal
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from netns.capture import capturing
from netns.running import Host, made_namespaces, wait_until
from netns.tunnels import DEVICE, VIPS, Pair, a_pair, gue, unpacking, wrapped

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
BROADCAST = "ff:ff:ff:ff:ff:ff"


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[Pair]:
    """A server that unpacks, and its neighbour."""
    with made_namespaces() as make:
        client, server = a_pair(make)
        with unpacking(server, tmp_path_factory.mktemp("decap")) as decap:
            yield Pair(client, server, decap)


def datagram(family: int = 4, **fields: object) -> Packet:
    """A datagram to the VIP of a client that is not there."""
    fields = {"src": {4: "10.0.1.10", 6: "fd00:1::10"}[family], "dst": VIPS[family]} | fields
    return (IP if family == 4 else IPv6)(**fields) / UDP(sport=4000, dport=9) / Raw(b"hello")


def wrong(pair: Pair) -> dict[str, tuple[Packet, ...]]:
    """Packets that are refused, by reason."""
    outer, inner = pair.outer(4), bytes(datagram())
    marked = [pair.outer(f, **{"tos" if f == 4 else "tc": 3}) for f in (4, 6)]
    return {
        "outer_destination": (wrapped("ipip", pair.outer(4, dst="10.0.0.255"), inner),
                              wrapped("gue", pair.outer(4, dst="255.255.255.255"), inner),
                              wrapped("ipip", pair.outer(4, dst=VIPS[4]), inner),
                              wrapped("ipip", pair.outer(6, dst="ff02::1"), inner),
                              wrapped("gue", pair.outer(6, dst="ff02::1"), inner),
                              wrapped("gue", pair.outer(6, dst=VIPS[6]), inner)),
        "gue_short": (outer / UDP(dport=6080) / Raw(b"\0\4\0"),),
        "gue_variant": (outer / UDP(dport=6080) / Raw(inner),),
        "gue_control": (outer / gue(inner, first=0x20),),
        "gue_flags": (pair.outer(6) / gue(inner, flags=1),),
        "gue_protocol": (outer / gue(inner, protocol=6),),
        "bad_ipv4": (wrapped("ipip", outer, inner[:-1]), pair.outer(6, nh=4)),
        "bad_ipv4_checksum": (wrapped("ipip", outer, bytes(datagram(chksum=0x1234))),),
        "bad_ipv6": (wrapped("gue", outer, bytes(datagram(6))[:-1]),),
        "not_vip": tuple(wrapped("ipip", pair.outer(f), bytes(datagram(f, dst=pair.server.address(f))))
                         for f in (4, 6)),
        "bad_source": tuple(wrapped("gue", pair.outer(f), bytes(datagram(f, src=pair.server.address(f))))
                            for f in (4, 6)),
        "ecn": tuple(wrapped(kind, outer, inner) for outer in marked for kind in ("ipip", "gue")),
    }  # fmt: skip


REASONS = ("outer_destination", "gue_short", "gue_variant", "gue_control", "gue_flags", "gue_protocol", "bad_ipv4",
           "bad_ipv4_checksum", "bad_ipv6", "not_vip", "bad_source", "ecn")  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_a_wrong_packet_is_counted_with_its_reason_and_goes_nowhere(pair, reason):
    packets = wrong(pair)[reason]
    before = pair.decap.report()
    with capturing(Host("server", pair.server.netns, DEVICE, ())) as came:
        for packet in packets:
            group = packet.dst.startswith("ff02") or packet.dst.endswith("255")
            pair.send(packet, to=BROADCAST if group else None)
        wait_until(lambda: count(pair.decap.report(), reason) == count(before, reason) + len(packets), reason)
    after = pair.decap.report()
    assert [frame for frame in came.frames if not frame.outgoing] == []
    assert after["tunnels"] == before["tunnels"]
    assert [row["reason"] for row, old in zip(after["drops"], before["drops"], strict=True) if row != old] == [reason]


def count(report: dict, reason: str) -> int:
    return next(row["packets"] for row in report["drops"] if row["reason"] == reason)


def test_every_reason_is_tried(pair):
    named = {row["reason"] for row in pair.decap.report()["drops"]}
    assert named == set(wrong(pair)) | {"device", "queue"} == {*REASONS, "device", "queue"}


def test_a_device_that_is_down_takes_nothing_and_that_is_counted(pair):
    before = count(pair.decap.report(), "device")
    pair.server.ip(f"link set {DEVICE} down")
    pair.send(wrapped("ipip", pair.outer(4), bytes(datagram())))
    wait_until(lambda: count(pair.decap.report(), "device") == before + 1, "device")
    pair.server.ip(f"link set {DEVICE} up")


def test_what_comes_faster_than_it_is_unpacked_is_counted(pair):
    before = count(pair.decap.report(), "device")
    pair.server.ip(f"link set {DEVICE} down")
    packet, n = wrapped("ipip", pair.outer(4), bytes(datagram())), 40_000
    pair.decap.process.send_signal(signal.SIGSTOP)
    pair.send(packet, times=n)
    pair.decap.process.send_signal(signal.SIGCONT)

    def counts() -> tuple[int, int]:
        report = pair.decap.report()
        return count(report, "device") - before, count(report, "queue")

    wait_until(lambda: sum(counts()) == n, "all counted")
    assert min(counts()) > 0
    pair.server.ip(f"link set {DEVICE} up")


@FAMILIES
def test_gue_with_a_wrong_udp_checksum_does_not_come_in(pair, family):
    packet = pair.outer(family) / gue(bytes(datagram()))
    packet[UDP].chksum = 0x1234
    before, errors = pair.decap.report(), checksum_errors(pair.server, family)
    pair.send(packet)
    wait_until(lambda: checksum_errors(pair.server, family) == errors + 1, "the kernel's count")
    assert pair.decap.report() == before


def checksum_errors(host: Host, family: int) -> int:
    name = "UdpInCsumErrors" if family == 4 else "Udp6InCsumErrors"
    return int(re.search(rf"{name} +(\d+)", host.run("nstat", "-asz").stdout)[1])
