"""Schedulers that hash, written down plainly: a flow's hash, modulo, Maglev's table, and who stands in for whom.

Spec: Eisenbud et al., Maglev (NSDI 2016), pseudocode 1; a weight counts as in Katran's MaglevHashV2: each round the
server gets its weight, and a place costs what the heaviest weighs.
"""

import ipaddress
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm

K1, K2, K3, K4 = 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3
WORD = 2**64
PRIME = 65537
ATTEMPTS = 16
FULL = 256


@dataclass(frozen=True)
class Flow:
    """A client that calls a port of a VIP."""

    client: str
    client_port: int = 1024
    vip: str = "10.0.0.100"
    vip_port: int = 80
    protocol: int = 6


@dataclass(frozen=True)
class Server:
    """A server: `weight` is its last that was not 0; one that takes nothing is down, drained, full or quiesced."""

    address: str
    port: int = 8080
    weight: int = 1
    takes: bool = True
    backup: bool = False
    share: int = FULL


def mix(a: int, b: int) -> int:
    """The product's upper half XORed into its lower."""
    product = (a % WORD) * (b % WORD)
    return product % WORD ^ product // WORD


def halves(address: str) -> tuple[int, int]:
    """The 16 bytes of an address, IPv4 as ::ffff:a.b.c.d, as two little-endian numbers."""
    ip = ipaddress.ip_address(address)
    raw = ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


def address_hash(address: str) -> int:
    first, last = halves(address)
    return mix(first ^ K1, last ^ K2)


def flow_hash(key: str, flow: Flow) -> int:
    """The hash of what the key names."""
    client = address_hash(flow.client)
    parts = {
        "source": 0,
        "source_port": flow.client_port,
        "destination_port": flow.vip_port * 2**16,
        "five_tuple": (flow.client_port ^ flow.vip_port * 2**16 ^ flow.protocol * 2**32
                       ^ mix(address_hash(flow.vip), K4)),
    }
    return mix(client ^ parts[key], K3)


def again(hashed: int, attempt: int) -> int:
    return mix(hashed ^ K4, attempt ^ K1)


def admitted(hashed: int, share: int) -> bool:
    return share >= FULL or mix(hashed ^ K2, K4) // 2**56 < share


def modulo(servers: list[Server], hashed: int, *, backups: bool = False) -> int:
    """The number of the server in a list where each stands as often as it weighs."""
    point = hashed % sum(server.weight for server in servers if server.backup == backups)
    for number, server in enumerate(servers):
        if server.backup == backups:
            point -= server.weight
            if point < 0:
                return number
    raise AssertionError("the weights do not add up")


def maglev(servers: list[Server]) -> list[int]:
    """The number of the server in each of PRIME places."""
    numbers = [n for n, server in enumerate(servers) if server.weight and not server.backup]
    numbers.sort(key=lambda n: (*halves(servers[n].address), servers[n].port))
    heaviest = max(servers[n].weight for n in numbers)
    seed = {n: mix(address_hash(servers[n].address) ^ servers[n].port, K3) for n in numbers}
    skip = {n: mix(seed[n] ^ K4, K1) % (PRIME - 1) + 1 for n in numbers}
    wanted = {n: seed[n] % PRIME for n in numbers}
    credit = dict.fromkeys(numbers, 0)
    table: list[int] = [-1] * PRIME
    left = PRIME
    while True:
        for n in numbers:
            credit[n] += servers[n].weight
            if credit[n] >= heaviest:
                credit[n] -= heaviest
                while table[wanted[n]] >= 0:
                    wanted[n] = (wanted[n] + skip[n]) % PRIME
                table[wanted[n]] = n
                left -= 1
                if not left:
                    return table


def named(servers: list[Server], hashed: int, table: list[int] | None = None) -> tuple[int, bool]:
    """The number of the server that gets a flow of that hash, and whether it is another than the first that is named.

    With a table it is maglev's. Some server must take.
    """
    backups = not any(server.takes and not server.backup for server in servers)
    takers = [n for n, server in enumerate(servers) if server.takes and server.backup == backups]
    for attempt in range(ATTEMPTS + 1):
        tried = again(hashed, attempt) if attempt else hashed
        number = modulo(servers, tried, backups=backups) if table is None or backups else table[tried % PRIME]
        if number in takers and admitted(tried, servers[number].share):
            return number, attempt > 0 or backups
    return takers[hashed % len(takers)], True


def moved_by_modulo(before: list[Server], after: list[Server]) -> Fraction:
    """The share of all hashes for which modulo names another server, counted over all that differ.

    Servers are the same when address and port are.
    """
    sums = [sum(server.weight for server in servers) for servers in (before, after)]
    n = lcm(*sums)
    names = [[(s.address, s.port) for s in servers for _ in range(s.weight)] for servers in (before, after)]
    return Fraction(sum(names[0][i % sums[0]] != names[1][i % sums[1]] for i in range(n)), n)


def modulo_theory(n: int) -> Fraction:
    """The same for one of n servers of one weight that goes, the last: of n(n-1) remainders, n-1 name the same."""
    assert gcd(n, n - 1) == 1
    return 1 - Fraction(n - 1, n * (n - 1))


def without(servers: list[Server], number: int) -> list[Server]:
    return servers[:number] + servers[number + 1:]


def weighing(servers: list[Server], number: int, weight: int) -> list[Server]:
    return [replace(server, weight=weight) if n == number else server for n, server in enumerate(servers)]
