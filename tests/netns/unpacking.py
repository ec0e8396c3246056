"""A judge of tunnels that is not ours: the kernel takes the outer headers off, told by a few instructions of eBPF.

Read first: bpf_skb_adjust_room in bpf-helpers(7). What the kernel does not find to be a packet then, it drops.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from netns.running import Host
from swlb.bpf import (
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
    link_to_ingress,
    load,
    new_classifier,
)
from swlb.namespaces import namespace

SKB_PROTOCOL_OFF = 16  # in struct __sk_buff
SKB_ADJUST_ROOM = 50  # helper of linux/bpf.h
ROOM_AT_MAC = 1
INSIDE_IS = {socket.IPPROTO_IPIP: 1 << 7, socket.IPPROTO_IPV6: 1 << 8}  # BPF_F_ADJ_ROOM_DECAP_L3_IPV4 and _IPV6
PASS = 0  # TC_ACT_OK

ETHERNET_LEN, UDP_LEN, GUE_LEN = 14, 8, 4
# By the IP version outside: its EtherType, the length of its header, and where that says what follows.
OUTER = {4: (0x0800, 20, 9), 6: (0x86DD, 40, 6)}


@contextmanager
def unpacked_by_the_kernel(host: Host, family: int, *, gue_port: int | None) -> Iterator[None]:
    """Within the block what the host receives in IPIP or GUE over that IP version is taken out of it."""
    program = new_classifier(assemble(_unpacker(family, gue_port)))
    with namespace(host.netns):
        link = link_to_ingress(program, socket.if_nametoindex(host.device))
    os.close(program)
    try:
        yield
    finally:
        os.close(link)


def _unpacker(family: int, gue_port: int | None) -> Code:
    ethertype, header_len, protocol_off = OUTER[family]
    udp_off = ETHERNET_LEN + header_len
    code: Code = [alu(Op.MOV, Reg.R6, Reg.R1), load(Size.W, Reg.R0, Reg.R6, SKB_PROTOCOL_OFF),
                  if_not_equal(Reg.R0, socket.htons(ethertype), "pass")]  # fmt: skip
    inside_off, room = ETHERNET_LEN + protocol_off, header_len
    if gue_port is not None:
        code += [*_byte(inside_off), if_not_equal(Reg.R0, socket.IPPROTO_UDP, "pass")]
        for off, byte in enumerate(struct.pack("!H", gue_port), start=udp_off + 2):
            code += [*_byte(off), if_not_equal(Reg.R0, byte, "pass")]
        # Version, kind and length: 0.
        code += [*_byte(udp_off + UDP_LEN), if_not_equal(Reg.R0, 0, "pass")]
        inside_off, room = udp_off + UDP_LEN + 1, header_len + UDP_LEN + GUE_LEN
    code += [*_byte(inside_off), *(if_equal(Reg.R0, protocol, str(protocol)) for protocol in INSIDE_IS), goto("pass")]
    for protocol, flag in INSIDE_IS.items():
        code += [str(protocol), alu(Op.MOV, Reg.R4, flag), goto("unpack")]
    arguments = {Reg.R1: Reg.R6, Reg.R2: -room, Reg.R3: ROOM_AT_MAC}
    code += ["unpack", *(alu(Op.MOV, reg, what) for reg, what in arguments.items()), call(SKB_ADJUST_ROOM)]
    return [*code, "pass", alu(Op.MOV, Reg.R0, PASS), leave()]


def _byte(off: int) -> Code:
    """R0 = that byte of the frame, 0 beyond its end."""
    arguments = {Reg.R1: Reg.R6, Reg.R2: off, Reg.R3: Reg.FP, Reg.R4: 1}
    return [*(alu(Op.MOV, reg, what) for reg, what in arguments.items()), alu(Op.ADD, Reg.R3, -1),
            call(SKB_LOAD_BYTES), load(Size.B, Reg.R0, Reg.FP, -1)]  # fmt: skip
