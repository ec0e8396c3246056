"""Where the worker's time goes, out of the samples of perf: each call chain belongs to one stage. No I/O.

A stage of the kernel is known by a function that is somewhere in the chain, so that all that is called for it counts
with it: what the receiver's network stack does below a write is part of the write. swlb's own code is told apart by the
symbol the sample was taken in; what the compiler inlined counts with the function it went into.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

WORKER = "_worker."
NOT_KERNEL = ("[unknown]", "[vdso]", "[vsyscall]")
OWN = "swlb: "
OTHER_OWN = "swlb: all the rest"
READ = "read: out of the device"
WRITE = "write: into the device"
RECEIVER = "write: the receiver's network stack"
URING = "io_uring: submit and complete"
SYSCALL = "system calls: entry, exit, files"
INTERRUPTED = "interrupted or preempted"
YIELD = "yield"
SLEEP = "poll and sleep"
LIBRARY = "C library: around system calls"
PYTHON = "Python: the control plane"
# Along the way of a frame; swlb's own functions come after the first.
ORDER = (READ, OWN, WRITE, RECEIVER, URING, SYSCALL, LIBRARY, INTERRUPTED, YIELD, SLEEP, PYTHON)


@dataclass(frozen=True)
class Frame:
    """One function of a chain, and the file it is in."""

    symbol: str
    file: str

    @property
    def in_kernel(self) -> bool:
        """Whether it is the kernel's, its modules included."""
        return self.file.startswith("[") and self.file not in NOT_KERNEL


@dataclass(frozen=True)
class Stage:
    """Chains with one of these functions in them, as whole names."""

    title: str
    functions: re.Pattern[str]

    def holds(self, chain: list[Frame]) -> bool:
        """Whether the chain belongs here."""
        return any(frame.in_kernel and self.functions.fullmatch(frame.symbol) for frame in chain)


def _stage(title: str, functions: str) -> Stage:
    return Stage(title, re.compile(functions))


# The first that holds a chain has it. An interrupt may come anywhere, and the receiver's stack runs below the write.
STAGES = (
    _stage(INTERRUPTED, r"a?sysvec_\w+|asm_\w+interrupt|irqentry_exit\w*|exit_to_user_mode_loop|preempt_schedule\w*"),
    _stage(RECEIVER, r"(__)?netif_receive_skb\w*|process_backlog|__napi_poll|netif_rx\w*|napi_gro_\w+|do_softirq\w*|"
                     r"__do_softirq|handle_softirqs"),
    _stage(WRITE, r"tun_get_user|tun_chr_write_iter"),
    _stage(READ, r"tun_do_read|tun_chr_read_iter|tun_ring_recv"),
    _stage(YIELD, r"\w*sys_sched_yield|do_sched_yield"),
    _stage(SLEEP, r"\w*sys_p?poll|do_sys_poll|do_poll\w*|ep_poll|do_epoll_wait|\w*sys_epoll_\w+|io_cqring_wait|"
                  r"\w*sys_nanosleep"),
    _stage(URING, r"io_\w+|\w*sys_io_uring_enter"),
)


def chains(script: str) -> Iterator[list[Frame]]:
    """The call chains in the output of `perf script -F ip,sym,dso`, the function that ran first."""
    for sample in re.split(r"\n\s*\n", script):
        chain = [Frame(found[1], found[2]) for line in sample.splitlines()
                 if (found := re.fullmatch(r"\s*[0-9a-f]+ (.+?) \((.*)\)", line))]
        if chain:
            yield chain


def stage_of(chain: list[Frame]) -> str:
    """The title of the chain's stage; one for each function of swlb's own."""
    top = chain[0]
    if top.in_kernel:
        return next((stage.title for stage in STAGES if stage.holds(chain)), SYSCALL)
    if WORKER in top.file:
        return f"{OWN}{readable(top.symbol)}"
    return LIBRARY if "/libc" in top.file else PYTHON


def readable(symbol: str) -> str:
    """A function as it is called in ext/: `__pyx_f_3ext_4loop_turn.isra.0` is loop.turn."""
    rest, parts = symbol.split(".")[0].removeprefix("__pyx_f_"), []
    while found := re.match(r"\d+", rest):
        length = int(found[0])
        parts.append(rest[found.end():found.end() + length])
        rest = rest[found.end() + length + 1:]
    return ".".join([*parts[1:], rest]) if parts else rest


def shares(found: Iterable[list[Frame]]) -> dict[str, float]:
    """Percent of the samples by stage."""
    counts = Counter(map(stage_of, found))
    return {title: count / counts.total() * 100 for title, count in counts.items()}


def folded(loads: Sequence[Mapping[str, float]], *, least: float) -> list[dict[str, float]]:
    """The same shares, with swlb's functions that have less than `least` percent under every load put together."""
    titles = {title for load in loads for title in load if title.startswith(OWN)}
    small = {title for title in titles if max(load.get(title, 0) for load in loads) < least}
    kept = [{title: share for title, share in load.items() if title not in small} for load in loads]
    if small:
        for load, all_of_load in zip(kept, loads, strict=True):
            load[OTHER_OWN] = sum(all_of_load.get(title, 0) for title in small)
    return kept


def in_order(titles: Iterable[str]) -> list[str]:
    """Titles as they are shown: along the way of a frame, swlb's functions by name."""
    def place(title: str) -> tuple[int, bool, str]:
        return ORDER.index(OWN if title.startswith(OWN) else title), title == OTHER_OWN, title

    return sorted(titles, key=place)
