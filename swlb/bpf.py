"""As much of eBPF as a small program needs: an assembler of a few instructions, one kind of map, the bpf(2) call.

Read first: Documentation/bpf/standardization/instruction-set.rst of the kernel. For little-endian machines, as all
of swlb. There is no libbpf, no compiler and no verifier's log here: a program that the verifier refuses is a bug,
and tests/kernel/test_steering.py loads ours.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

# __NR_bpf by machine; those that came after it, such as aarch64, share one table.
SYSCALL = {"x86_64": 321, "ppc64le": 361}
SYSCALL_OF_OTHERS = 280
MAP_CREATE, MAP_UPDATE_ELEM, PROG_LOAD, LINK_CREATE = 0, 2, 5, 28
MAP_TYPE_HASH = 1
PROG_TYPE_SOCKET_FILTER, PROG_TYPE_SCHED_CLS = 1, 3
TCX_INGRESS, BEFORE_ALL = 46, 8  # where a program is linked to, and that it is the first there

# union bpf_attr of linux/bpf.h, as far as each command reads it.
ATTR_MAP_CREATE = struct.Struct("=IIII")  # type, key size, value size, entries
ATTR_MAP_UPDATE = struct.Struct("=I4xQQQ")  # map, key, value, flags
ATTR_PROG_LOAD = struct.Struct("=IIQQIIQ")  # type, instructions, first, license, no log
ATTR_LINK_CREATE = struct.Struct("=IIIII4xQ")  # program, device, place, flags, no other program, no revision

INSTRUCTION = struct.Struct("<BBhi")
PSEUDO_MAP_FD = 1

# Helpers of linux/bpf.h.
MAP_LOOKUP_ELEM, SKB_LOAD_BYTES = 1, 26


class Reg(IntEnum):
    """R0: results. R1 to R5: arguments, lost by a call. R6 to R9: kept. FP: the end of 512 bytes of stack."""

    R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = range(11)


class Op(IntEnum):
    """64-bit arithmetic."""

    ADD, MUL, AND, LSH, RSH, MOD, XOR, MOV = 0x00, 0x20, 0x50, 0x60, 0x70, 0x90, 0xA0, 0xB0


class Size(IntEnum):
    """How much is loaded or stored; naturally aligned on the stack, or the verifier refuses it."""

    W, H, B, DW = 0x00, 0x08, 0x10, 0x18


class Instruction(NamedTuple):
    """8 bytes of a program; `to` is the label that a jump goes to."""

    code: int
    dst: int = 0
    src: int = 0
    off: int = 0
    imm: int = 0
    to: str | None = None


Code = list[Instruction | str]  # a str is a label: the place of the instruction after it


def alu(op: Op, dst: Reg, operand: "Reg | int") -> Instruction:
    """dst = dst op operand; a number is sign-extended from 32 bits."""
    if isinstance(operand, Reg):
        return Instruction(0x0F | op, dst, operand)
    return Instruction(0x07 | op, dst, imm=operand)


def load(size: Size, dst: Reg, base: Reg, off: int) -> Instruction:
    """dst = what lies at base + off."""
    return Instruction(0x61 | size, dst, base, off)


def store(size: Size, base: Reg, off: int, what: "Reg | int") -> Instruction:
    """What lies at base + off = what."""
    if isinstance(what, Reg):
        return Instruction(0x63 | size, base, what, off)
    return Instruction(0x62 | size, base, off=off, imm=what)


def number(dst: Reg, value: int) -> Code:
    """dst = 64 bits of value."""
    low, high = struct.unpack("<ii", struct.pack("<Q", value))
    return [Instruction(0x18, dst, imm=low), Instruction(0, imm=high)]


def map_address(dst: Reg, map_fd: int) -> Code:
    """dst = the map, as a helper wants it."""
    return [Instruction(0x18, dst, PSEUDO_MAP_FD, imm=map_fd), Instruction(0)]


def goto(to: str) -> Instruction:
    return Instruction(0x05, to=to)


def if_equal(dst: Reg, imm: int, to: str) -> Instruction:
    return Instruction(0x15, dst, imm=imm, to=to)


def if_not_equal(dst: Reg, imm: int, to: str) -> Instruction:
    return Instruction(0x55, dst, imm=imm, to=to)


def call(helper: int) -> Instruction:
    """R0 = what the helper returns of R1 to R5."""
    return Instruction(0x85, imm=helper)


def leave() -> Instruction:
    """The program returns R0."""
    return Instruction(0x95)


def assemble(code: Iterable[Instruction | str]) -> bytes:
    """The program, its labels resolved."""
    places: dict[str, int] = {}
    instructions: list[Instruction] = []
    for line in code:
        if isinstance(line, str):
            places[line] = len(instructions)
        else:
            instructions.append(line)
    program = b""
    for at, (code_, dst, src, off, imm, to) in enumerate(instructions):
        program += INSTRUCTION.pack(code_, dst | src << 4, off if to is None else places[to] - at - 1, imm)
    return program


def new_hash_map(entries: Mapping[bytes, int], *, key_len: int) -> int:
    """A descriptor of a map from keys to 32-bit numbers."""
    fd = _bpf(MAP_CREATE, ATTR_MAP_CREATE.pack(MAP_TYPE_HASH, key_len, 4, max(1, len(entries))))
    try:
        for key, value in entries.items():
            assert len(key) == key_len
            key_room, value_room = ctypes.create_string_buffer(key), ctypes.c_uint32(value)
            where = ctypes.addressof(key_room), ctypes.addressof(value_room)
            _bpf(MAP_UPDATE_ELEM, ATTR_MAP_UPDATE.pack(fd, *where, 0))
    except BaseException:
        os.close(fd)
        raise
    return fd


def new_socket_filter(program: bytes) -> int:
    """A descriptor of the program, which the kernel has verified. It keeps the maps it names."""
    return _load(PROG_TYPE_SOCKET_FILTER, program)


def new_classifier(program: bytes) -> int:
    """The same of a program that decides about packets at a device: its result is one of TC_ACT_ of linux/pkt_cls.h."""
    return _load(PROG_TYPE_SCHED_CLS, program)


def link_to_ingress(program_fd: int, device_index: int) -> int:
    """A descriptor that keeps the classifier in front of all others on what the device receives; closed, it is gone.

    The device is one of the calling thread's namespace. Linux 6.6; older kernels refuse with EINVAL.
    """
    return _bpf(LINK_CREATE, ATTR_LINK_CREATE.pack(program_fd, device_index, TCX_INGRESS, BEFORE_ALL, 0, 0))


def _load(kind: int, program: bytes) -> int:
    # No helper used is for programs under the GPL only.
    rooms = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"Apache-2.0")
    where = map(ctypes.addressof, rooms)
    n = len(program) // INSTRUCTION.size
    return _bpf(PROG_LOAD, ATTR_PROG_LOAD.pack(kind, n, *where, 0, 0, 0))


_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: bytes) -> int:
    """What bpf(2) returned. OSError when it was refused."""
    room = ctypes.create_string_buffer(attr, len(attr))
    syscall = SYSCALL.get(platform.machine(), SYSCALL_OF_OTHERS)
    result: int = _libc.syscall(ctypes.c_long(syscall), command, room, ctypes.c_uint(len(attr)))
    if result < 0:
        code = ctypes.get_errno() or errno.ENOSYS
        raise OSError(code, f"bpf: {os.strerror(code)}")
    return result
