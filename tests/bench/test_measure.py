"""What a run is asked to do, and the limit program as far as it needs no devices."""

import shutil
import subprocess
from pathlib import Path

import pytest

from swlb.bench import measure, peers, segments
from swlb.errors import SwlbError, WrongWords

LIMIT = Path(segments.__file__).with_name("limit.c")


def keys(*patterns: str) -> list[str]:
    return [figure.key for figure in measure.chosen_figures(patterns)]


def test_no_words_mean_all_figures() -> None:
    assert len(keys()) == len(set(keys())) > 10


def test_figures_are_chosen_by_key_and_by_pattern_in_the_order_of_the_tables() -> None:
    assert keys("connections", "tcp_8_*") == ["tcp_8_up", "tcp_8_down", "connections"]


def test_figures_are_chosen_by_the_first_word_of_their_keys() -> None:
    assert keys("ping") == ["ping_p50", "ping_p99"]


def test_figures_on_request_are_measured_only_when_asked_for() -> None:
    flood = keys("syn_flood")
    assert len(flood) == 4
    assert not set(flood) & set(keys())


def test_a_figure_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(WrongWords, match="no figure dance; there are: tcp_1_up"):
        measure.chosen_figures(["dance"])


def test_a_peer_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(WrongWords, match="no peer ipvs; there are: swlb"):
        measure.chosen_peers(["ipvs"])


def test_peers_are_measured_once_each_in_the_order_they_were_named() -> None:
    chosen, _ = measure.chosen_peers(["direct", "swlb", "direct"])
    assert [peer.name for peer in chosen] == ["direct", "swlb"]


@pytest.fixture
def without_ovs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "missing", lambda tools: [tool for tool in tools if "ovs" in tool])


@pytest.mark.usefixtures("without_ovs")
def test_by_default_a_peer_that_is_not_installed_is_left_out_with_a_sentence() -> None:
    chosen, absent = measure.chosen_peers([])
    assert [peer.name for peer in chosen] == [name for name in peers.DEFAULT_PEERS if name != "ovs"]
    assert absent[0].startswith("Open vSwitch: missing ovsdb-tool")


@pytest.mark.usefixtures("without_ovs")
def test_a_peer_that_was_named_has_to_be_installed() -> None:
    with pytest.raises(SwlbError, match="Open vSwitch: missing"):
        measure.chosen_peers(["swlb", "ovs"])


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is missing")
def test_the_limit_program_compiles_without_a_warning_and_knows_its_words(tmp_path: Path) -> None:
    program = tmp_path / "limit"
    done = subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, LIMIT], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for words in ([], ["fast", "a", "b"], ["plain", "a"]):
        assert subprocess.run([program, *words], capture_output=True, check=False).returncode == 2
