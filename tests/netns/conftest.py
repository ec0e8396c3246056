"""Sites that a whole module shares: a test that changes one puts it right again, or makes its own.

Not the whole session: their servers live in the test process, where other tests count open files.
"""

import pytest

from netns.running import made_namespaces
from netns.sites import Routed, Transparent, serving, site


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
