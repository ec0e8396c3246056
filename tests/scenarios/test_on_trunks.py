"""What holds for ports holds for VLANs of trunks: scenarios of other files once more, with every port a `port.VID`.

Whoever stands behind such a port puts his own tags on and takes them off (trunked.py), and sees what he would see
behind a port of his own, byte for byte.
"""

import pytest

from . import network
from .test_arp import *
from .test_dsr import *
from .test_nat_routed import *
from .test_nd import *
from .test_offload_nat import *
from .test_tunnel_ways import *


@pytest.fixture(autouse=True)
def on_trunks(monkeypatch):
    monkeypatch.setattr(network, "ON_TRUNKS", True)
