"""What all tests share: the `root` marker and network namespaces of their own."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: namespaces, TAP devices, raw sockets"))


@pytest.fixture
def make_netns() -> Iterator[Callable[[], str]]:
    """Makes a network namespace with `lo` up at each call and returns its name; all are gone after the test."""
    names: list[str] = []

    def make() -> str:
        name = f"swlb-test-{secrets.token_hex(4)}"
        names.append(name)
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        return name

    yield make
    for name in names:
        # A test may have deleted it itself.
        subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def netns(make_netns: Callable[[], str]) -> str:
    """The name of a network namespace that exists for this test only."""
    return make_netns()
