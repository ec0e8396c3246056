"""What libFuzzer begins with: the good frames of the corpus, and real captures, as inputs of ext/testing_guided.pyx.

The captures (captures/*.pcap) were taken by tcpdump beside a running swlb: what its client sent it and what its servers
sent it, in the order in which that came. They are replayed at the shapes whose addresses they have.
"""

import struct
from pathlib import Path

import dpkt

from tests.fuzz.corpus import messages
from tests.fuzz.shapes import SHAPES

CAPTURES = Path(__file__).parent / "captures"
HAS_OFFLOAD, A_MILLISECOND, TO_US = 8, 1 << 5, 128
PORTS = 4
RECORDS = 40               # of a capture in one input: what is long is mutated rarely


def record(control: int, message: bytes) -> bytes:
    """One message of an input."""
    return struct.pack(">BH", control, len(message)) + message


def write_seeds(folder: Path) -> int:
    """The folder has one file for each input to begin with; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [bytes([n % len(SHAPES)]) + record(HAS_OFFLOAD | n // len(SHAPES) % PORTS, message)
             for n, message in enumerate(messages()) if len(message) < 0x1000]
    seeds += [bytes([shape]) + row for row in captured() for shape in range(len(SHAPES))]
    for n, seed in enumerate(seeds):
        (folder / f"seed-{n:05}").write_bytes(seed)
    return len(seeds)


def captured() -> list[bytes]:
    """What was captured as rows of records; clients came by the first port, servers by the third."""
    frames = sorted((when, 0 if file.stem.endswith("client") else 2, frame)
                    for file in CAPTURES.glob("*.pcap") for when, frame in frames_of(file))
    rows = [record(port | A_MILLISECOND | TO_US, frame) for _, port, frame in frames]
    return [b"".join(rows[at:at + RECORDS]) for at in range(0, len(rows), RECORDS // 2)]


def frames_of(file: Path) -> list[tuple[float, bytes]]:
    """The frames of a capture, and when they came."""
    with file.open("rb") as stream:
        return [(when, bytes(frame)) for when, frame in dpkt.pcap.Reader(stream)]
