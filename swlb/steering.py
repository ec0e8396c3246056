"""Which worker a frame goes to: an eBPF program that the kernel asks for the queue of a device, or for the socket.

Both directions of a session have to meet at one worker, and they have one thing in common: the client's address and
port. So the program finds out which end is the client (the other one is a VIP or a server), and the owner of that
end is the queue. A queue is a worker. Where the program cannot be loaded, workers hand frames over to each other
by the same rule, which is also in ext/; a frame that reaches the wrong queue costs time, and nothing else.

Read first: bpf.py, tun_ebpf_select_queue in linux/drivers/net/tun.c, and fanout_demux_bpf in net/packet/af_packet.c.
The kernel asks when a frame is sent to a TAP or TUN, or has come to an interface with several packet sockets. For a
TAP the data begins at the Ethernet header, for the others behind it. A VLAN tag mostly lies beside it, as in what a
VLAN device sends, and makes no difference; a second one, or one that lies within, does.
"""

import fcntl
import os
import struct
from collections.abc import Mapping

from swlb.addresses import V4_MAPPED, packed
from swlb.bpf import (
    MAP_LOOKUP_ELEM,
    SKB_LOAD_BYTES,
    Code,
    Op,
    Reg,
    Size,
    alu,
    assemble,
    call,
    goto,
    if_equal,
    if_not_equal,
    leave,
    load,
    map_address,
    new_hash_map,
    new_socket_filter,
    number,
    store,
)
from swlb.config import Config

TUNSETSTEERINGEBPF = 0x800454E0  # linux/if_tun.h: _IOR('T', 224, int)

VIP, SERVER = 1, 2  # roles of an address
LINGERING = 4096  # addresses that have left the configuration and keep their roles

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: its multiples are spread evenly
MASK_64 = 2**64 - 1

ADDRESS_LEN = 16
SKB_PROTOCOL = 16  # offset in struct __sk_buff of linux/bpf.h
ETH_LEN = 14
TCP, UDP = 6, 17

# The stack: the first bytes of the packet, and the two ends. The IPv4 addresses in HEAD are aligned.
HEAD, HEAD_LEN = -64, 20
SRC, DST, SPORT, DPORT = -40, -24, -8, -6

R0, R1, R2, R3, R4, CTX, FP = Reg.R0, Reg.R1, Reg.R2, Reg.R3, Reg.R4, Reg.R6, Reg.FP
A, B, C = Reg.R7, Reg.R8, Reg.R9  # the owner's hi, lo and port; A and B are free until then

NO_OWNER = "no owner"


class SteeringError(OSError):
    """The kernel has refused the program, or to attach it."""


class Steering:
    """A loaded program that steers by the roles (VIP, SERVER) of addresses of 16 bytes to n queues."""

    def __init__(self, roles: Mapping[bytes, int], *, key: int, n: int) -> None:
        """`key` is a secret of 64 bits: who does not know it cannot choose his worker."""
        self._fds: dict[int, int] = {}  # by where IP begins
        try:
            map_fd = new_hash_map(roles, key_len=ADDRESS_LEN)
            try:
                for l3_off in (0, ETH_LEN):
                    self._fds[l3_off] = new_socket_filter(_program(map_fd, key, n, l3_off))
            finally:
                os.close(map_fd)
        except OSError as error:
            self.close()
            raise SteeringError(error.errno, error.strerror) from error

    def program_fd(self, *, ethernet: bool) -> int:
        """The program for frames whose data begins with an Ethernet header, or behind it."""
        return self._fds[ETH_LEN if ethernet else 0]

    def attach(self, fd: int, *, ethernet: bool = True) -> None:
        """The TAP of that queue (without `ethernet`: the TUN) asks the program, while it lives, for all its queues."""
        try:
            fcntl.ioctl(fd, TUNSETSTEERINGEBPF, struct.pack("i", self.program_fd(ethernet=ethernet)))
        except OSError as error:
            raise SteeringError(error.errno, f"TUNSETSTEERINGEBPF: {error.strerror}") from error

    def close(self) -> None:
        """Nothing more can be attached; devices keep the program. A second call does nothing."""
        fds, self._fds = self._fds, {}
        for fd in fds.values():
            os.close(fd)


def roles_of(config: Config) -> dict[bytes, int]:
    """The role of every VIP and server."""
    services = config.services.values()
    servers = {packed(server.address): SERVER for service in services for server in service.servers.values()}
    return servers | {packed(vip): VIP for service in services for vip in service.vips}


def roles_after(before: Mapping[bytes, int], config: Config) -> dict[bytes, int]:
    """The roles in the configuration, first, and those that others had before: sessions of theirs may go on.

    Of these only the LINGERING that left last. A role that is out of date chooses a queue and harms nobody.
    """
    roles = roles_of(config)
    gone = [(ip16, role) for ip16, role in before.items() if ip16 not in roles]
    return roles | dict(gone[:LINGERING])


def owner(ip16: bytes, port: int, key: int, n: int) -> int:
    """The worker, of n, to which an end (address of 16 bytes, l4_port) belongs; the same as in the program."""
    hi, lo = struct.unpack("<QQ", ip16)
    (network_port,) = struct.unpack("<H", struct.pack(">H", port))
    h = (hi ^ key) * GOLDEN & MASK_64
    h ^= h >> 32
    h = (h ^ lo) * GOLDEN & MASK_64
    h ^= h >> 32
    h = (h ^ network_port) * GOLDEN & MASK_64
    return (h >> 40) % n


def _program(map_fd: int, key: int, n: int, l3_off: int) -> bytes:
    """The queue of a frame; 0 for what has no l4_ports to tell by: other protocols, fragments, tags within."""
    return assemble(
        [
            alu(Op.MOV, CTX, R1),
            *_read(l3_off, HEAD, HEAD_LEN),
            load(Size.W, R0, CTX, SKB_PROTOCOL),
            if_equal(R0, _wire16(0x0800), "ipv4"),
            if_not_equal(R0, _wire16(0x86DD), NO_OWNER),
            *_ends_of_ipv6(l3_off),
            goto("ends"),
            "ipv4",
            *_ends_of_ipv4(l3_off),
            "ends",
            *_choice_of_end(map_fd),
            "owner",
            *_owner_of_end(key, n),
            NO_OWNER,
            alu(Op.MOV, R0, 0),
            leave(),
        ]
    )


def _ends_of_ipv4(l3_off: int) -> Code:
    """Source, destination and ports are on the stack."""
    code = [
        load(Size.H, R0, FP, HEAD + 6),
        alu(Op.AND, R0, _wire16(0x3FFF)),  # more fragments, or an offset
        if_not_equal(R0, 0, NO_OWNER),
        load(Size.B, A, FP, HEAD + 9),
        *_only_tcp_and_udp("ipv4 ports"),
        load(Size.B, B, FP, HEAD),
        alu(Op.AND, B, 0x0F),
        alu(Op.LSH, B, 2),
        alu(Op.ADD, B, l3_off),
        *_read(B, SPORT, 4),
    ]
    for end, off in ((SRC, 12), (DST, 16)):
        code += [
            store(Size.DW, FP, end, 0),
            store(Size.W, FP, end + 8, int.from_bytes(V4_MAPPED[8:], "little", signed=True)),
            load(Size.W, R0, FP, HEAD + off),
            store(Size.W, FP, end + 12, R0),
        ]
    return code


def _ends_of_ipv6(l3_off: int) -> Code:
    """The same; the ports lie right behind the addresses, in the frame as on the stack."""
    return [
        load(Size.B, A, FP, HEAD + 6),
        *_only_tcp_and_udp("ipv6 ports"),
        *_read(l3_off + 8, SRC, 36),
    ]


def _choice_of_end(map_fd: int) -> Code:
    """A, B and C are the client's end; where there is none, both ends, in a way that does not tell them apart."""
    return [
        *_role(map_fd, DST, "no vip"),
        if_equal(R0, VIP, "source is client"),
        "no vip",
        *_role(map_fd, SRC, "no client"),
        if_equal(R0, SERVER, "destination is client"),
        "no client",
        *_end(SRC, SPORT),
        *(line for i, reg in enumerate((A, B)) for line in _xored(Size.DW, reg, DST + 8 * i)),
        *_xored(Size.H, C, DPORT),
        goto("owner"),
        "source is client",
        *_end(SRC, SPORT),
        goto("owner"),
        "destination is client",
        *_end(DST, DPORT),
    ]


def _owner_of_end(key: int, n: int) -> Code:
    """The program is over, with what `owner` says of A, B and C."""
    mix = [alu(Op.MUL, A, R2), alu(Op.MOV, R0, A), alu(Op.RSH, R0, 32), alu(Op.XOR, A, R0)]
    return [
        *number(R1, key),
        *number(R2, GOLDEN),
        alu(Op.XOR, A, R1),
        *mix,
        alu(Op.XOR, A, B),
        *mix,
        alu(Op.XOR, A, C),
        alu(Op.MUL, A, R2),
        alu(Op.RSH, A, 40),
        alu(Op.MOD, A, n),
        alu(Op.MOV, R0, A),
        leave(),
    ]


def _read(off: Reg | int, to: int, n: int) -> Code:
    """n bytes of the frame from off on are on the stack; a shorter frame has no owner."""
    return [
        alu(Op.MOV, R1, CTX),
        alu(Op.MOV, R2, off),
        alu(Op.MOV, R3, FP),
        alu(Op.ADD, R3, to),
        alu(Op.MOV, R4, n),
        call(SKB_LOAD_BYTES),
        if_not_equal(R0, 0, NO_OWNER),
    ]


def _only_tcp_and_udp(label: str) -> Code:
    """What is of protocol A and neither has no owner. `label` is this place's own."""
    return [if_equal(A, TCP, label), if_not_equal(A, UDP, NO_OWNER), label]


def _role(map_fd: int, end: int, without: str) -> Code:
    """R0 is the role of the address; on to `without` when it has none."""
    return [
        *map_address(R1, map_fd),
        alu(Op.MOV, R2, FP),
        alu(Op.ADD, R2, end),
        call(MAP_LOOKUP_ELEM),
        if_equal(R0, 0, without),
        load(Size.W, R0, R0, 0),
    ]


def _end(address: int, port: int) -> Code:
    return [load(Size.DW, A, FP, address), load(Size.DW, B, FP, address + 8), load(Size.H, C, FP, port)]


def _xored(size: Size, reg: Reg, off: int) -> Code:
    return [load(size, R0, FP, off), alu(Op.XOR, reg, R0)]


def _wire16(value: int) -> int:
    """A number in network order, as a load finds it."""
    return int.from_bytes(value.to_bytes(2, "big"), "little")
