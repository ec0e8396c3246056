"""Peers that bring something of their own into being: a request passes, and nothing of them is left."""

from pathlib import Path

import pytest

from swlb.bench.commands import run
from swlb.bench.machine import TOOLS
from swlb.bench.peers import PEERS, missing
from swlb.bench.runner import Runner
from swlb.bench.topology import Topology


@pytest.mark.root
@pytest.mark.parametrize("name", ["limit-plain", "limit-batched", "ovs", "swlb-one-arm", "swlb-dsr", "swlb-ipip",
                                  "swlb-gue", "swlb-packet", "swlb-tun"])
def test_a_request_passes_and_nothing_is_left_behind(name: str) -> None:
    if lacks := missing((*TOOLS, *PEERS[name].tools)):
        pytest.skip(f"missing: {', '.join(lacks)}")
    with Topology() as topology:
        runner = Runner(topology, seconds=1, chosen=[])
        said = runner.start(PEERS[name])
        if runner.results.skipped:
            pytest.skip(said)
        assert said == "up", runner.results.failures
        processes = [pid for setup in runner.setups if setup.balancer for pid in setup.balancer.pids()]
        made = [setup.client for setup in runner.setups]
    assert processes
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    assert [line for line in run(["ip", "netns", "list"]).splitlines() if line.split()[0] in made] == []
    assert not topology.directory.exists()
