"""The network namespaces of this host, and how a thread steps into one and back.

A namespace is what `ip netns add NAME` leaves in /run/netns: a file that stands for it. Entering one changes
the calling thread only, never the process, so other threads do not notice.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pyroute2 import IPRoute

T = TypeVar("T")

NETNS_DIR = "/run/netns"
THREAD_NETNS = "/proc/thread-self/ns/net"
CLONE_NEWNET = 0x4000_0000

# os.setns exists from Python 3.12 on; 3.11 is the oldest that swlb runs on.
_libc = ctypes.CDLL(None, use_errno=True)


def namespaces() -> frozenset[str]:
    """The names that `ip netns list` would print."""
    try:
        return frozenset(os.listdir(NETNS_DIR))
    except FileNotFoundError:
        return frozenset()


@contextmanager
def namespace(name: str | None) -> Iterator[None]:
    """The calling thread is inside namespace `name` within the block and back afterwards, also on error.

    None stays where it is. Do not await inside the block: other tasks of the thread would run in there too.
    Raises FileNotFoundError when there is no such namespace.
    """
    if name is None:
        yield
        return
    inside = open_namespace(name)
    try:
        with entered(inside):
            yield
    finally:
        os.close(inside)


def open_namespace(name: str) -> int:
    """A file descriptor of namespace `name`, the caller's to close. It keeps the namespace alive while open."""
    return os.open(f"{NETNS_DIR}/{name}", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def entered(netns_fd: int) -> Iterator[None]:
    """The calling thread is inside the namespace of `netns_fd` within the block and back afterwards.

    Where it is there already nothing is called, so a process without CAP_SYS_ADMIN may stay at home.
    """
    home = os.open(THREAD_NETNS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.path.sameopenfile(home, netns_fd):
            yield
            return
        _setns(netns_fd)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


@contextmanager
def new_namespace() -> Iterator[int]:
    """The calling thread is inside a new, nameless namespace within the block and back afterwards; its inode.

    It is gone with the block unless it got a name meanwhile (`ip netns attach NAME` with the thread's id).
    """
    home = os.open(THREAD_NETNS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"unshare: {os.strerror(code)}")
        try:
            yield os.stat(THREAD_NETNS).st_ino
        finally:
            _setns(home)
    finally:
        os.close(home)


def netlink(work: Callable[[IPRoute], T]) -> T:
    """What `work` returns, done over a netlink socket of the calling thread's namespace.

    In a thread of its own (it starts in the caller's namespace): pyroute2's blocking calls run an event loop,
    and where swlb reloads one is running already.
    """

    def run() -> T:
        with IPRoute() as ip:
            return work(ip)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()


def _setns(netns_fd: int) -> None:
    if _libc.setns(netns_fd, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")
