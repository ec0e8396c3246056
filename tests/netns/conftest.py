"""Sites that a whole module shares: a test that changes one puts it right again, or makes its own; labs that go.

Not the whole session: their servers live in the test process, where other tests count open files.
"""

from collections.abc import Callable, Iterator

import pytest

from netns.lab_runs import NAME, swlb
from netns.running import made_namespaces
from netns.sites import Routed, Transparent, serving, site
from swlb.lab import Lab
from swlb.lab.record import record_path


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    """A routed site whose servers all serve."""
    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("routed")) as at,
        serving(at),
    ):
        yield at


@pytest.fixture(scope="module")
def transparent(tmp_path_factory):
    """A transparent site whose servers all serve."""
    with (
        made_namespaces() as make,
        site(Transparent, make, tmp_path_factory.mktemp("transparent")) as at,
        serving(at),
    ):
        yield at


@pytest.fixture
def tidied_lab() -> Iterator[None]:
    """The lab that tests call NAME is gone afterwards, also after one that failed."""
    yield
    if record_path(NAME).exists():
        swlb("lab", "down", NAME)


@pytest.fixture
def a_lab() -> Callable[[], Lab]:
    return lambda: Lab(NAME)
