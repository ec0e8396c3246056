"""What holds for ports holds for VLANs of trunks: scenarios of other files once more, with every port a `port.VID`.

Whoever stands behind such a port puts his own tags on and takes them off (trunked.py), and sees what he would see
behind a port of his own, byte for byte.
"""

import pytest

from . import network, test_arp, test_dsr, test_nd, test_offload_nat, test_tunnel_ways

MODULES = (test_arp, test_dsr, test_nd, test_offload_nat, test_tunnel_ways)
# Within a VLAN a priority tag is none of its own: what goes back by the trunk is tagged once.
LEFT_OUT = "test_a_priority_tagged_request_is_answered_with_its_tag"

globals().update({name: found for module in MODULES for name, found in vars(module).items()
                  if not name.startswith("__") and name != LEFT_OUT})


@pytest.fixture(autouse=True)
def on_trunks(monkeypatch):
    monkeypatch.setattr(network, "ON_TRUNKS", True)
