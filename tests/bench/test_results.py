"""What is kept of a run: JSON with every sample, and the page for people."""

import json
from pathlib import Path

from swlb.bench.figure import Figure
from swlb.bench.marks import Bound, Mark, judge
from swlb.bench.results import Report, markdown, write_json
from swlb.bench.runner import Results
from swlb.bench.samples import Samples
from swlb.bench.table import Column

BULK = Figure("bulk", "bulk", "Gb/s")
BYTES = Figure("bytes", "a session", "bytes", higher_is_better=False, compared=False, own=True)
MACHINE = {"date": "2026-11-25", "kernel": "6.18", "cores": 2, "commit": "abc", "versions": {"nginx": "1.22"}}


def report(columns: tuple[str, ...] = ("swlb", "nft")) -> Report:
    samples = Samples()
    for ours, theirs in ((12.0, 10.0), (18.0, 20.0)):
        samples.add("bulk", "swlb", ours)
        samples.add("bulk", "nft", theirs)
    samples.add("bytes", "swlb", 52.2)
    verdicts = judge(samples, [BULK, BYTES], [Mark("bulk", "nft", 2.0), Bound("bytes", 64)])
    return Report(MACHINE, 2, 1, [BULK, BYTES], [Column(name, name) for name in columns],
                  Results(samples, skipped=["ovs: missing ovs-vswitchd"]), verdicts)


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = page.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_a_page_says_when_and_with_what_the_run_was_made() -> None:
    head = markdown(report()).split("##")[0]
    for fact in ("2026-11-25", "Linux 6.18", "2 cores", "commit abc", "rounds: 2", "nginx: 1.22"):
        assert fact in head


def test_a_page_has_ratios_values_marks_and_swlb_itself() -> None:
    page = markdown(report())
    assert rows(page, "swlb, how many times as good") == [["bulk", "1.05× 0.90–1.20"]]
    assert rows(page, "Values") == [["bulk, Gb/s", "15.0 12.0–18.0", "15.0 10.0–20.0"]]
    assert rows(page, "Marks") == [["bulk", "swlb vs nft", "≥ 2.00×", "1.05×", "missed by 47.5 %"],
                                   ["a session", "swlb", "≤ 64.0 bytes", "52.2 bytes", "reached"]]
    assert rows(page, "swlb itself") == [["a session", "52.2", "bytes"]]


def test_a_page_without_a_second_peer_has_no_ratios() -> None:
    assert "how many times" not in markdown(report(("swlb",)))


def test_what_was_not_measured_is_on_the_page() -> None:
    assert "- ovs: missing ovs-vswitchd" in markdown(report())


def test_json_has_every_sample_and_what_became_of_the_marks(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "run.json", report())
    content = json.loads((tmp_path / "new" / "run.json").read_text())
    assert content["samples"]["bulk"] == {"swlb": [12.0, 18.0], "nft": [10.0, 20.0]}
    assert [mark["reached"] for mark in content["marks"]] == [False, True]
    assert content["commit"] == "abc"


def test_a_page_has_cells_of_one_title_in_one_table() -> None:
    grid = [Figure(f"choice_{row}_{n}", "choosing", "ns", own=True, row=row, column=n) for row in ("rr", "lc")
            for n in ("2", "10")]
    samples = Samples()
    for value, figure in enumerate(grid):
        samples.add(figure.key, "swlb", 10.0 + value)
    page = markdown(Report(MACHINE, 2, 1, grid, [], Results(samples), []))
    assert rows(page, "swlb itself: choosing") == [["rr", "10.0", "11.0"], ["lc", "12.0", "13.0"]]
    assert "## swlb itself\n" not in page
