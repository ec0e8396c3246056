"""What libFuzzer begins with is what it is said to be; dpkt reads it."""

from pathlib import Path

import dpkt

from tests.fuzz.seeds import CAPTURES, captured, frames_of, write_seeds
from tests.fuzz.shapes import SHAPES


def messages_of(row: bytes) -> list[tuple[int, bytes]]:
    """(port, message) of a row of records."""
    found, at = [], 0
    while at < len(row):
        n = int.from_bytes(row[at + 1:at + 3])
        found.append((row[at] & 7, row[at + 3:at + 3 + n]))
        assert len(found[-1][1]) == n
        at += 3 + n
    return found


def test_captures_are_of_real_stacks_from_both_sides() -> None:
    seen = set()
    for row in captured():
        for port, message in messages_of(row):
            ip = dpkt.ethernet.Ethernet(message).data
            if isinstance(ip, dpkt.arp.ARP):
                seen.add((port, "ARP"))
                continue
            l4 = ip.data
            if isinstance(l4, dpkt.tcp.TCP):
                seen.add((port, type(ip).__name__, "TCP", l4.flags & 0x3F))
            else:
                seen.add((port, type(ip).__name__, type(l4).__name__))
            if isinstance(ip, dpkt.ip.IP) and ip.mf:
                seen.add((port, "piece"))
    for ip in ("IP", "IP6"):
        assert {(0, ip, "TCP", dpkt.tcp.TH_SYN), (2, ip, "TCP", dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK)} <= seen
        assert {(0, ip, "UDP"), (2, ip, "UDP")} <= seen
    assert {(0, "IP", "ICMP"), (2, "IP", "ICMP"), (0, "IP6", "ICMP6"), (0, "ARP"), (0, "piece")} <= seen


def test_every_shape_gets_every_capture(tmp_path: Path) -> None:
    write_seeds(tmp_path)
    seeds = [file.read_bytes() for file in tmp_path.iterdir()]
    assert sum(len(frames_of(file)) for file in CAPTURES.glob("*.pcap")) > 100
    for shape in range(len(SHAPES)):
        assert {bytes([shape]) + row for row in captured()} <= set(seeds)
