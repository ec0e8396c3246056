"""Every kind of check, every sickness of a server, in every mode: what swlb says of it, and whether the server serves.

One swlb a mode. All servers are well, then all have their sickness at once, then all recover.
"""

import pytest

from netns.clinic import Certificates, clinic
from netns.modes import MODES
from netns.sicknesses import CHECKS, HERE, NAME, ROWS
from swlb.probes import KINDS
from tests.pki import Pki

pytestmark = pytest.mark.root

MODES_OF_CHECKS = [mode for mode in MODES if mode.name in ("routed", "one-arm", "dsr", "ipip")]

ASKED_ITSELF = ("icmp", "exec", "agent")  # in all modes; of all others a direct server is asked as clients ask it


def test_every_kind_of_check_is_in_the_table():
    assert {CHECKS[row.kind]["type"] for row in ROWS} == set(KINDS)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    pki = Pki(tmp_path_factory.mktemp("pki"))
    files = {}
    for what, days in (("good", 90), ("expired", -1)):
        pki.server(NAME, days=days)
        files[what] = pki.last
    return Certificates(pki.ca, files)


@pytest.mark.parametrize("mode", MODES_OF_CHECKS, ids=lambda mode: mode.name)
def test_every_sickness_is_called_by_its_name_and_every_recovery_is_seen(mode, make_netns, tmp_path, certificates):
    with clinic(mode, make_netns, tmp_path, certificates) as at:
        at.expect(lambda row: row.when_well if row in HERE else row.when_ill)
        vias = {row["service"]: row["via"] for row in at.swlb.show("health")}
        through_vip = {row.name for row in ROWS if mode.is_direct and row.kind not in ASKED_ITSELF}
        assert {name for name, via in vias.items() if via == "vip"} == through_vip
        since = at.here.set({row.name: row.sickness for row in HERE})
        at.expect(lambda row: row.when_ill)
        at.here.set({row.name: "healthy" for row in HERE})
        with at.appeared():
            at.expect(lambda row: row.when_well)
        fallen = {event["service"] for event in at.swlb.events("server_down") if event["time"] > since}
        assert fallen == {row.name for row in HERE if row.state == "down"}
