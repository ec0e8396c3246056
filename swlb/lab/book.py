"""The labs of the folder netns-lab, beside the package: one Python file each.

    \"\"\"What it shows, in one line. ...\"\"\"
    DRAWING = "..."
    def build(lab): ...       hosts, switch and servers are there; every server is up
    def run(lab, say): ...    proves its point, or raises; the walk of a request in short
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swlb.errors import SwlbError
from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.voice import Voice

FOLDER = Path(__file__).resolve().parents[2] / "netns-lab"
# As one reads them; others come after these.
ORDER = (
    "transparent",
    "routed",
    "one-arm-broken",
    "one-arm",
    "one-arm-gateway",
    "dsr",
    "ipip",
    "gue",
    "hairpin",
    "mixed",
    "rolling",
    "schedulers",
)


@dataclass(frozen=True)
class LabPage:
    """A lab that can be built and run. `summary` is the first line of its docstring."""

    summary: str
    drawing: str
    build: Callable[[Lab], None]
    run: Callable[[Lab, Voice], InShort]


def lab_names() -> list[str]:
    """The labs there are, in the order of reading. Raises SwlbError where their folder is not."""
    if not FOLDER.is_dir():
        where = "the folder netns-lab of swlb's source tree"
        raise SwlbError(f"the labs are in {where}, which is not beside this package ({FOLDER}); run swlb from there")
    there = sorted(path.stem for path in FOLDER.glob("*.py"))
    return [name for name in ORDER if name in there] + [name for name in there if name not in ORDER]


def load_lab(name: str) -> LabPage:
    """The lab of that name. Raises SwlbError when there is none."""
    names = lab_names()
    if name not in names:
        raise SwlbError(f"no lab {name!r} in {FOLDER}; there are: {', '.join(names)}")
    spec = importlib.util.spec_from_file_location(f"netns_lab_{name.replace('-', '_')}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    return LabPage(summary, module.DRAWING, module.build, module.run)
