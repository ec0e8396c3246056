"""RFC 1624: an adjusted checksum is what is computed anew, for every value of a word (RFC 1071, RFC 1141)."""

import struct
from collections.abc import Iterator

import pytest

from swlb import _testing as c
from tests.oracle.checksum import checksum, ones_sum
from tests.scenarios.balanced import routed
from tests.scenarios.shapes import V4, router

from .common import IP, UDP, Packet

ALL = range(65536)
# What the rest of the covered bytes may sum up to where carries and zeros matter.
RESTS = (1, 0x7FFF, 0xDD2F, 0xFFFE, 0xFFFF)


def in_memory(word: int) -> int:
    """A word of the wire as this machine sees it, and the other way round."""
    return struct.unpack("=H", struct.pack("!H", word))[0]


def computed(rest: int, word: int) -> int:
    """The checksum of two words, computed anew."""
    return checksum(struct.pack("!HH", rest, word))


@pytest.mark.parametrize("rest", RESTS)
def test_section_3_every_new_value_of_a_word(rest: int) -> None:
    """Equation 3 gives just what is computed anew, 0x0000 and 0xFFFF told apart, from any old value to any new one."""
    for old in (0x0000, 0x5555, 0xFFFF):
        check = in_memory(computed(rest, old))
        wrong = [new for new in ALL
                 if in_memory(c.checksum_adjust(check, c.sum_change(in_memory(old), in_memory(new))))
                 != computed(rest, new)]
        assert wrong == [], f"from {old:#06x}"


@pytest.mark.parametrize("rest", RESTS[::2])
def test_section_3_every_old_value_of_a_word(rest: int) -> None:
    """The same from every old value."""
    for new in (0x0000, 0xFFFF):
        wanted = computed(rest, new)
        wrong = [old for old in ALL
                 if in_memory(c.checksum_adjust(in_memory(computed(rest, old)),
                                                c.sum_change(in_memory(old), in_memory(new)))) != wanted]
        assert wrong == [], f"to {new:#06x}"


def every_ttl() -> Iterator[tuple[int, Packet]]:
    for ttl in range(2, 256):
        for number in (0, 0xFFFF):
            yield ttl, IP(src=V4.client, dst=V4.server, ttl=ttl, id=number) / UDP(sport=1, dport=2)


def test_section_4_every_ttl_lowered_and_every_header_sum() -> None:
    """A header whose TTL is lowered sums up to 0xFFFF, and its checksum is the one scapy computes (RFC 1141 2)."""
    net = router()
    client, web = net.station("client", V4.client), net.station("web1", V4.server)
    client.greet()
    web.greet()
    packets = list(every_ttl())
    client.send(*(packet for _, packet in packets))
    left = net.take("web1")
    assert len(left) == len(packets)
    for frame, (ttl, packet) in zip(left, packets, strict=True):
        wanted = packet.copy()
        wanted.ttl = ttl - 1
        assert bytes(frame.payload) == bytes(wanted)
        assert ones_sum(bytes(frame.payload)[:20]) == 0xFFFF


def test_section_4_every_header_checksum_there_is() -> None:
    """For every value of the identification, and so of the checksum, the one that leaves is computed anew's."""
    net = router()
    client, web = net.station("client", V4.client), net.station("web1", V4.server)
    client.greet()
    web.greet()
    head = bytes(client.frame(IP(src=V4.client, dst=V4.server) / UDP(sport=1, dport=2)))
    for start in range(0, 65536, 4096):
        frames = []
        for number in range(start, start + 4096):
            packet = bytearray(head)
            packet[18:20], packet[24:26] = number.to_bytes(2, "big"), b"\0\0"
            packet[24:26] = checksum(bytes(packet[14:34])).to_bytes(2, "big")
            frames.append(bytes(packet))
        net.send("client", *frames)
        left = [frame for _, frame in net.take_raw("web1")]
        assert len(left) == 4096
        for frame in left:
            assert ones_sum(frame[14:34]) == 0xFFFF
            assert frame[24:26] == checksum(frame[14:24] + b"\0\0" + frame[26:34]).to_bytes(2, "big")


def test_section_5_none_stays_none_over_ipv4() -> None:
    """A datagram that came without a checksum leaves without one."""
    scene = routed(4, protocol="udp", n_servers=1)
    for payload in (b"", b"x", b"\xff\xff"):
        scene.client.send(scene.request(payload=payload, chksum=0))
        assert scene.servers[0].take_one()[UDP].chksum == 0
