import random

import pytest

from swlb import _testing as c
from tests.ext.values import ip

KEY = (0x0123456789ABCDEF, 0xFEDCBA9876543210)
N, BUCKETS = 20_000, 256
# Chi-squared with 255 degrees of freedom: mean 255, and above 355 once in 30,000 good hashes.
MOST_CHI = 355

KINDS = {
    "clients in a row": lambda i: c.hash_ip(KEY, ip(f"10.0.{i >> 8}.{i & 255}"), 80),
    "ports in a row": lambda i: c.hash_ip(KEY, ip("10.0.0.1"), i),
    "IPv6 interface identifiers in a row": lambda i: c.hash_ip(KEY, ip(f"fd00::{i:x}"), 6),
    "IPv6 networks in a row": lambda i: c.hash_ip(KEY, ip(f"fd00:{i:x}::1"), 6),
    "MACs in a row": lambda i: c.hash_word(KEY, 0x020000000000 + (i << 32)),
    "VLANs of one MAC": lambda i: c.hash_word(KEY, 0xFEEDBEEF | i << 48),
}


@pytest.mark.parametrize("kind", KINDS)
def test_alike_keys_fall_into_all_buckets_evenly(kind: str) -> None:
    counts = [0] * BUCKETS
    n = 4096 if kind == "VLANs of one MAC" else N
    for i in range(n):
        counts[KINDS[kind](i) & (BUCKETS - 1)] += 1
    chi = sum((count - n / BUCKETS) ** 2 for count in counts) * BUCKETS / n
    assert chi < MOST_CHI


def test_who_collides_depends_on_the_key() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    hosts = [ip(f"10.1.{i >> 8}.{i & 255}") for i in range(4000)]
    crowd = [host for host in hosts if c.hash_ip(KEY, host, 0) & 63 == 0]
    other = (choose.getrandbits(64), choose.getrandbits(64))
    together = max([c.hash_ip(other, host, 0) & 63 for host in crowd].count(b) for b in range(64))
    assert together < len(crowd) / 4, f"seed {seed}"


def test_every_bit_of_an_address_changes_half_of_the_hash() -> None:
    for bit in range(128):
        changed = 0
        for i in range(64):
            host = (i * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128
            a = c.hash_ip(KEY, host.to_bytes(16, "big"), i)
            changed += (a ^ c.hash_ip(KEY, (host ^ (1 << bit)).to_bytes(16, "big"), i)).bit_count()
        assert 0.4 < changed / 64 / 32 < 0.6, f"bit {bit}"


@pytest.mark.parametrize(("n", "size"), [(1, 1), (2, 2), (3, 4), (1000, 1024), (1024, 1024), (1025, 2048)])
def test_a_table_has_the_next_power_of_two_of_buckets(n: int, size: int) -> None:
    assert c.power_of_two(n) == size
