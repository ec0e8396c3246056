"""A few instructions of eBPF that take IPv4 packets out of IPIP and GUE, for a server of the benchmark.

Fast and credulous: it looks at nothing but what kind of tunnel it is. For use there is `swlb decap`.
"""

from swlb.bpf import (
    SKB_LOAD_BYTES,
    Op,
    Reg,
    Size,
    alu,
    assemble,
    call,
    goto,
    if_not_equal,
    leave,
    load,
    new_classifier,
)

SKB_ADJUST_ROOM = 50  # helper of linux/bpf.h
ADJ_ROOM_MAC = 1  # room between the MAC header and what follows
TC_ACT_OK = 0
HEAD, HEAD_LEN = -40, 38  # on the stack: Ethernet, IPv4 and the ports behind it
IPIP, UDP, GUE_PORT = 4, 17, 6080
IPV4_LEN, GUE_LEN = 20, 12

R0, R1, R2, R3, R4, CTX, FP = Reg.R0, Reg.R1, Reg.R2, Reg.R3, Reg.R4, Reg.R6, Reg.FP


def new_unwrapper() -> int:
    """A descriptor of the program, for the ingress of a device."""
    return new_classifier(assemble([
        alu(Op.MOV, CTX, R1),
        alu(Op.MOV, R2, 0),
        alu(Op.MOV, R3, FP),
        alu(Op.ADD, R3, HEAD),
        alu(Op.MOV, R4, HEAD_LEN),
        call(SKB_LOAD_BYTES),
        if_not_equal(R0, 0, "done"),
        load(Size.H, R0, FP, HEAD + 12),
        if_not_equal(R0, 0x0008, "done"),
        load(Size.B, R0, FP, HEAD + 23),
        alu(Op.MOV, R2, -IPV4_LEN),
        if_not_equal(R0, IPIP, "gue"),
        goto("strip"),
        "gue",
        alu(Op.MOV, R2, -IPV4_LEN - GUE_LEN),
        if_not_equal(R0, UDP, "done"),
        load(Size.H, R0, FP, HEAD + 36),
        if_not_equal(R0, int.from_bytes(GUE_PORT.to_bytes(2, "big"), "little"), "done"),
        "strip",
        alu(Op.MOV, R1, CTX),
        alu(Op.MOV, R3, ADJ_ROOM_MAC),
        alu(Op.MOV, R4, 0),
        call(SKB_ADJUST_ROOM),
        "done",
        alu(Op.MOV, R0, TC_ACT_OK),
        leave(),
    ]))
