"""A switch that tells VLANs apart, made of the kernel's own tagging: it may have no 802.1Q devices.

An eBPF program at each wire has the kernel put the wire's tag on what comes in, and sends it on by the trunk; one at
the trunk has it taken off again, and sends it on by the wire of that VLAN. A VLAN has one wire, so nothing is learned.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from swlb.bpf import Code, Op, Reg, Size, alu, assemble, call, if_equal, leave, link_to_ingress, load, new_classifier
from swlb.namespaces import namespace

# linux/bpf.h: helpers, and where struct __sk_buff has the tag that lies beside the frame.
VLAN_PUSH, VLAN_POP, REDIRECT = 18, 19, 23
SKB_VLAN_TCI = 24
VID_MASK = 0x0FFF
TPID = int.from_bytes(b"\x81\x00", "little")
DROP = 2  # TC_ACT_SHOT

R0, R1, R2, R3, CTX = Reg.R0, Reg.R1, Reg.R2, Reg.R3, Reg.R6


@contextmanager
def access_switch(netns: str, wires: Mapping[str, int], trunk: str) -> Iterator[None]:
    """Within the block each device is untagged in its VLAN, and what it says is tagged at the trunk."""
    with ExitStack() as stack, namespace(netns):
        index = {name: socket.if_nametoindex(name) for name in (*wires, trunk)}
        programs = {name: _to_trunk(vid, index[trunk]) for name, vid in wires.items()}
        programs[trunk] = _from_trunk({vid: index[name] for name, vid in wires.items()})
        for name, program in programs.items():
            fd = new_classifier(assemble(program))
            stack.callback(os.close, fd)
            stack.callback(os.close, link_to_ingress(fd, index[name]))
        yield


def _sent_on(by: int) -> Code:
    return [alu(Op.MOV, R1, by), alu(Op.MOV, R2, 0), call(REDIRECT), leave()]


def _to_trunk(vid: int, trunk: int) -> Code:
    return [alu(Op.MOV, R2, TPID), alu(Op.MOV, R3, vid), call(VLAN_PUSH), *_sent_on(trunk)]


def _from_trunk(wires: Mapping[int, int]) -> Code:
    code: Code = [alu(Op.MOV, CTX, R1), load(Size.W, R0, CTX, SKB_VLAN_TCI), alu(Op.AND, R0, VID_MASK)]
    code += [if_equal(R0, vid, f"wire {wire}") for vid, wire in wires.items()]
    code += [alu(Op.MOV, R0, DROP), leave()]
    for wire in wires.values():
        code += [f"wire {wire}", alu(Op.MOV, R1, CTX), call(VLAN_POP), *_sent_on(wire)]
    return code
