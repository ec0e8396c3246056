"""io_uring by bare system calls, one operation at a time: as much as the beliefs about it need, without code of swlb.

Spec: io_uring_setup(2), io_uring_enter(2), io_uring_register(2), linux/io_uring.h.
"""

import ctypes
import mmap
import os
import struct
from types import TracebackType

SETUP, ENTER, REGISTER = 425, 426, 427              # system calls, the same on every architecture
SINGLE_ISSUER, DEFER_TASKRUN = 1 << 12, 1 << 13     # what swlb sets its ring up with
REGISTER_FILES, UNREGISTER_FILES, REGISTER_FILES_UPDATE = 2, 3, 6
OFF_SQES = 0x1000_0000
GETEVENTS = 1
READ, WRITE = 22, 23
FIXED_FILE = 1
RWF_NOWAIT = 8
ENTRIES = 4
# struct io_uring_params: sq_entries, cq_entries, flags, then offsets from byte 40 (sq) and 80 (cq) on
PARAMS_LEN, SQ_OFF, CQ_OFF = 120, 40, 80
SQE = struct.Struct("<BBHiQQIIQH22x")
CQE = struct.Struct("<QiI")

libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> int:
    """The system call's result; OSError when it fails."""
    done = libc.syscall(ctypes.c_long(number), *arguments)
    if done < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return done


class Ring:
    """A ring set up as swlb sets up its own; OSError where io_uring is refused."""

    def __init__(self) -> None:
        params = ctypes.create_string_buffer(PARAMS_LEN)
        struct.pack_into("<I", params, 8, SINGLE_ISSUER | DEFER_TASKRUN)
        self.fd = call(SETUP, ctypes.c_uint(ENTRIES), params)
        sq_entries, cq_entries = struct.unpack_from("<II", params)
        self._sq = dict(zip(("head", "tail", "mask"), struct.unpack_from("<III", params, SQ_OFF), strict=True))
        self._sq["array"], = struct.unpack_from("<I", params, SQ_OFF + 24)
        self._cq = dict(zip(("head", "tail", "mask"), struct.unpack_from("<III", params, CQ_OFF), strict=True))
        self._cq["cqes"], = struct.unpack_from("<I", params, CQ_OFF + 20)
        length = max(self._sq["array"] + 4 * sq_entries, self._cq["cqes"] + CQE.size * cq_entries)
        self._queues = mmap.mmap(self.fd, length)
        self._sqes = mmap.mmap(self.fd, SQE.size * sq_entries, offset=OFF_SQES)

    def __enter__(self) -> "Ring":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._queues.close()
        self._sqes.close()
        os.close(self.fd)

    def _word(self, at: int) -> int:
        return struct.unpack_from("<I", self._queues, at)[0]

    def do(self, operation: int, file: int, buffer: ctypes.Array, *, rw_flags: int = 0, flags: int = 0) -> int | None:
        """The operation's result once it was handed in: bytes or -errno; None while it is not done."""
        tail = self._word(self._sq["tail"])
        slot = tail & self._word(self._sq["mask"])
        self._sqes[slot * SQE.size:(slot + 1) * SQE.size] = SQE.pack(
            operation, flags, 0, file, 0, ctypes.addressof(buffer), len(buffer), rw_flags, 0, 0)
        struct.pack_into("<I", self._queues, self._sq["array"] + 4 * slot, slot)
        struct.pack_into("<I", self._queues, self._sq["tail"], tail + 1)
        # Nothing is waited for: at least 0 completions.
        assert call(ENTER, self.fd, 1, 0, GETEVENTS, None, ctypes.c_size_t(0)) == 1
        return self._done()

    def wait(self) -> int | None:
        """The result of the operation that is not done yet, once it is."""
        call(ENTER, self.fd, 0, 1, GETEVENTS, None, ctypes.c_size_t(0))
        return self._done()

    def _done(self) -> int | None:
        head = self._word(self._cq["head"])
        if head == self._word(self._cq["tail"]):
            return None
        at = self._cq["cqes"] + CQE.size * (head & self._word(self._cq["mask"]))
        _, result, _ = CQE.unpack_from(self._queues, at)
        struct.pack_into("<I", self._queues, self._cq["head"], head + 1)
        return result

    def register(self, *files: int) -> None:
        """The ring knows the files by their place from now on, and holds them."""
        call(REGISTER, self.fd, REGISTER_FILES, (ctypes.c_int * len(files))(*files), len(files))

    def unregister(self) -> None:
        call(REGISTER, self.fd, UNREGISTER_FILES, None, 0)

    def replace(self, place: int, file: int) -> None:
        """The file at that place is this one from now on; with -1 there is none."""
        files = (ctypes.c_int * 1)(file)
        update = ctypes.create_string_buffer(struct.pack("<IIQ", place, 0, ctypes.addressof(files)))
        assert call(REGISTER, self.fd, REGISTER_FILES_UPDATE, update, 1) == 1
