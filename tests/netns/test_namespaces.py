"""Stepping into a network namespace and back."""

import os
import threading
from pathlib import Path

import pytest

from swlb.namespaces import THREAD_NETNS, namespace, namespaces

pytestmark = pytest.mark.root


def here() -> int:
    """The inode of the calling thread's namespace."""
    return os.stat(THREAD_NETNS).st_ino


def there(netns: str) -> int:
    return Path("/run/netns", netns).stat().st_ino


def test_the_thread_is_inside_within_the_block(netns):
    with namespace(netns):
        assert here() == there(netns)


def test_the_thread_is_back_after_the_block(netns):
    home = here()
    with namespace(netns):
        pass
    assert here() == home


def test_the_thread_is_back_after_an_error(netns):
    home = here()
    with pytest.raises(ZeroDivisionError), namespace(netns):
        _ = 1 / 0
    assert here() == home


def test_inner_blocks_come_back_to_the_outer_namespace(make_netns):
    outer, inner = make_netns(), make_netns()
    with namespace(outer):
        with namespace(inner):
            assert here() == there(inner)
        assert here() == there(outer)


def test_no_name_means_to_stay():
    home = here()
    with namespace(None):
        assert here() == home


def test_other_threads_do_not_notice(netns):
    home = here()
    inside, seen = threading.Event(), []
    thread = threading.Thread(target=lambda: (inside.wait(5), seen.append(here())))
    thread.start()
    with namespace(netns):
        inside.set()
        thread.join()
    assert seen == [home]


def test_no_file_stays_open(netns):
    before = os.listdir("/proc/self/fd")
    with namespace(netns):
        pass
    assert os.listdir("/proc/self/fd") == before


def test_a_missing_namespace_is_file_not_found():
    with pytest.raises(FileNotFoundError, match="/run/netns/swlb-no-such"), namespace("swlb-no-such"):
        pass


def test_an_existing_namespace_is_listed(netns):
    assert netns in namespaces()


def test_a_host_without_namespaces_has_an_empty_list(monkeypatch):
    monkeypatch.setattr("swlb.namespaces.NETNS_DIR", "/run/no-such-directory")
    assert namespaces() == frozenset()
