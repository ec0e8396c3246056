"""Sites that all tests share: a test that changes one puts it right again, or makes its own."""

import pytest

from netns.running import made_namespaces
from netns.sites import Routed, Transparent, serving, site


@pytest.fixture(scope="session")
def routed(tmp_path_factory):
    """A routed site whose servers all serve."""
    with (
        made_namespaces() as make,
        site(Routed, make, tmp_path_factory.mktemp("routed")) as at,
        serving(at),
    ):
        yield at


@pytest.fixture(scope="session")
def transparent(tmp_path_factory):
    """A transparent site whose servers all serve."""
    with (
        made_namespaces() as make,
        site(Transparent, make, tmp_path_factory.mktemp("transparent")) as at,
        serving(at),
    ):
        yield at
