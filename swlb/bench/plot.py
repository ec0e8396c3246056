"""A run as a picture. The only file that needs matplotlib, which is not installed with swlb by itself."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swlb.errors import SwlbError

from .panels import Bar, Panel, chosen_base, panels
from .results import Report
from .samples import digits

COLUMNS = 3
DPI = 130
PANEL_WIDTH_IN, BAR_HEIGHT_IN, PANEL_EXTRA_IN = 5.0, 0.255, 0.75
HEAD_IN, FOOT_IN = 0.95, 0.45
INK, FAINT, GRID = "#22272e", "#6b7480", "#e3e6ea"
# One hue for each kind: swlb blue, the kernel grey, proxies orange, another userspace switch violet, limits green.
COLOURS = {
    "swlb": "#1d5fc4", "swlb-transparent": "#5c90de", "swlb-switch": "#9dbff0",
    "swlb-2": "#174a99", "swlb-4": "#10366f",
    "direct": "#b8bec6", "nft": "#5d6672", "haproxy": "#e0812a", "nginx": "#f0b26f", "ovs": "#8a63b8",
    "limit-plain": "#9ccf9a", "limit-batched": "#5ba35f",
}


def check_plotting() -> None:
    """matplotlib is there; SwlbError says how to install it when not."""
    if find_spec("matplotlib") is None:
        raise SwlbError("--plot needs matplotlib: pip install matplotlib, or swlb with its extra: 'swlb[bench]'")


def draw(report: Report, path: Path, *, base: str) -> None:
    """A PNG with a panel for each figure and a bar for each peer, relative to the base. SwlbError without two peers."""
    from matplotlib.figure import Figure as Page

    chosen = chosen_base(report.columns, base)
    shown = panels(report.results.samples, report.figures, report.columns, chosen.peer) if chosen else []
    if not (chosen and shown):
        raise SwlbError(f"{path}: nothing to draw: no figure was measured of two peers")
    n_columns = min(COLUMNS, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    height_in = HEAD_IN + FOOT_IN + n_rows * (len(report.columns) * BAR_HEIGHT_IN + PANEL_EXTRA_IN)
    page = Page(figsize=(n_columns * PANEL_WIDTH_IN + 1.2, height_in), dpi=DPI, facecolor="white")
    grid = page.add_gridspec(n_rows, n_columns, left=0.1, right=0.985, wspace=0.06, hspace=0.3,
                             top=1 - HEAD_IN / height_in, bottom=FOOT_IN / height_in)
    titles = [column.title for column in report.columns]
    for i, panel in enumerate(shown):
        axes = page.add_subplot(grid[divmod(i, n_columns)])
        _draw_panel(axes, panel, titles=titles if i % n_columns == 0 else [])
    _draw_words(page, report, chosen.title, height_in)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.savefig(path)


def _draw_panel(axes: Any, panel: Panel, *, titles: list[str]) -> None:
    """The bars from the top down in the order of the tables."""
    highest = max(bar.ratio.median for bar in panel.bars if bar.ratio)
    # Room for the value behind the longest bar.
    axes.set_xlim(0, max(highest, 1) * 1.42)
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    for y, bar in enumerate(panel.bars):
        _draw_bar(axes, y, bar, panel.figure.unit)
    axes.axvline(1, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=4)
    axes.set_title(panel.figure.title, loc="left", fontsize=10.5, fontweight="bold", color=INK, pad=6)
    axes.set_yticks(range(len(panel.bars)), titles or [""] * len(panel.bars), fontsize=9, color=INK)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelsize=8, labelcolor=FAINT)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}×")
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _draw_bar(axes: Any, y: int, bar: Bar, unit: str) -> None:
    if bar.ratio is None or bar.value is None:
        axes.text(0, y, "  not measured", va="center", fontsize=8, color=FAINT, style="italic")
        return
    ratio = bar.ratio
    axes.barh(y, ratio.median, height=0.72, color=COLOURS.get(bar.peer, FAINT), zorder=2)
    if ratio.low != ratio.high:
        axes.errorbar(ratio.median, y, xerr=[[ratio.median - ratio.low], [ratio.high - ratio.median]], color=INK,
                      linewidth=0.9, capsize=2.2, capthick=0.9, zorder=3)
    weight = "bold" if bar.peer == "swlb" else "normal"
    axes.annotate(f"{digits(ratio.median)}×  ({digits(bar.value.median)} {unit})", (ratio.high, y), xytext=(5, 0),
                  textcoords="offset points", va="center", fontsize=8, color=INK, fontweight=weight, zorder=5,
                  # The line of the base and the grid do not run through the words.
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def _draw_words(page: Any, report: Report, base: str, height_in: float) -> None:
    machine = report.machine
    made = (f"{machine['date']}, Linux {machine['kernel']}, {machine['cores']} cores shared by client, balancer and "
            f"server, commit {machine['commit']}, rounds: {report.rounds}")
    explained = ("Longer is better in every panel, also for latencies. Bar: median of the rounds' ratios; "
                 "whisker: lowest to highest; in brackets: the median value.")

    def line(from_top_in: float, words: str, **look: Any) -> None:
        page.text(0.012, 1 - from_top_in / height_in, words, va="center", **look)

    line(0.3, f"How many times as good as {base}", fontsize=16, fontweight="bold", color=INK)
    line(0.58, explained, fontsize=9.5, color=FAINT)
    line(height_in - 0.14, made, fontsize=8, color=FAINT)
