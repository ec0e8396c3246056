"""What the sources of the fast path promise: no Python on the way of a frame, one direction of imports, short files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PXDS = sorted(ROOT.glob("ext/**/*.pxd"))
PYXS = sorted(ROOT.glob("ext/*.pyx"))
SOURCES = PXDS + PYXS

# From the bottom up: a file may cimport from its own layer and from those above it in this list, never from below.
LAYERS = (
    ("order", "sync", "debug", "pages"),
    ("address",),
    ("frame", "hash", "verdict"),
    ("wire/",),
    ("ports/port",),            # the contract only, of which a segment's ports are made
    ("tables/",),
    ("schedule/",),
    ("forward/",),
    ("ports/",),
    ("coalesce", "outbox"),
    ("judge",),
    ("mail",),
    ("turn",),
    ("loop",),
    ("assembly", "calls", "listing", "adopt"),
    ("worker", "testing"),      # the doors
)
# Where the loop spends its life.
HOT = ("receive", "tell_apart", "queue_vlan", "turn", "run_loop", "forward", "addressed", "bridge", "balance",
       "request", "nat_request", "nat_reply", "dsr_out", "tunnel_enter", "outer_grow", "route_out", "parse_ip",
       "rewrite", "fdb_learn", "session_of_request", "tap_rx", "tap_tx", "batch_rx",
       "batch_tx", "ring_enter", "packet_rx", "packet_tx", "tun_rx", "tun_tx", "queue_pieces", "piece_write")
PYTHON_IN_C = re.compile("Py_INCREF|Py_XDECREF|PyErr_Occurred|PyGILState|PyEval_|PyObject_"
                         "|__Pyx_(INCREF|Raise|AddTraceback)")
CIMPORT = re.compile(r"^from (\S+) cimport (?:\(([^)]*)\)|([^\n(]+))$", re.MULTILINE)
LONGER = {
    "ext/worker.pyx": "one Python class, which cannot be divided over files, and every door a Worker has",
}
MOST_LINES = 300
GUIDED = {"swlb._testing_guided"}     # needs clang: built for `make fuzz` alone


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_of(path: Path) -> str:
    """The file without docstrings, C blocks and comments."""
    return re.sub(r"#[^\n]*", "", re.sub(r'"""(.*?)"""', "", path.read_text(), flags=re.DOTALL))


def cimports(path: Path) -> list[tuple[str, list[str]]]:
    """(module, names as they are used here) of every cimport; a module cimported as such has its own name."""
    found = []
    for module, in_brackets, plain in CIMPORT.findall(code_of(path)):
        names = [part.strip() for part in (in_brackets or plain).split(",") if part.strip()]
        found.append((module, [part.split(" as ")[-1] for part in names]))
    for module, alias in re.findall(r"^cimport (\S+)(?: as (\S+))?$", code_of(path), re.MULTILINE):
        found.append((module, [alias or module]))
    return found


def of_ext(path: Path) -> list[str]:
    """The files of ext/ that this one cimports, as paths without suffix under ext/."""
    files = []
    for module, names in cimports(path):
        if module == "ext" or module.startswith("ext."):
            at = module.replace(".", "/")
            # `from ext.wire cimport nd` names files, `from ext.wire.nd cimport nd_mac` what is in one.
            files += [f"{at}/{n}" for n in names] if (ROOT / at).is_dir() else [at]
    return [file.removeprefix("ext/") for file in files]


def layer(file: str) -> int:
    for n, prefixes in enumerate(LAYERS):
        if any(file == p or (p.endswith("/") and file.startswith(p)) or (p == "testing" and file.startswith(p))
               for p in prefixes):
            return n
    raise AssertionError(f"ext/{file} is in no layer")


@pytest.fixture(scope="session")
def cythonized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """What cython printed, and the C it made, for every .pyx."""
    folder = tmp_path_factory.mktemp("c")
    made = {}
    for pyx in PYXS:
        c_file = folder / f"{pyx.stem}.c"
        done = subprocess.run([sys.executable, "-m", "cython", "-3", "-X", "cdivision=True", "-I", ".", "-o", c_file,
                               f"ext/{pyx.name}"], cwd=ROOT, capture_output=True, text=True, check=False)
        made[pyx.stem] = (done.stdout + done.stderr, c_file.read_text() if done.returncode == 0 else "")
    return made


@pytest.mark.parametrize("door", [pyx.stem for pyx in PYXS])
def test_cython_has_nothing_to_say(cythonized: dict[str, tuple[str, str]], door: str) -> None:
    said, c_code = cythonized[door]
    assert said == ""
    assert c_code


def test_no_function_that_a_frame_goes_through_touches_python(cythonized: dict[str, tuple[str, str]]) -> None:
    _, c_code = cythonized["worker"]
    bodies = dict(re.findall(r"^static [^\n;]*\b__pyx_f_3ext_((?!6worker_)\w+)\([^;{]*\) \{\n(.*?)^\}", c_code,
                             re.MULTILINE | re.DOTALL))
    functions = {re.sub(r"^(\d+[a-z]\w*?_)*?(?=(?:" + "|".join(HOT) + ")$)", "", key) for key in bodies}
    assert set(HOT) <= functions, set(HOT) - functions
    touching = {key: PYTHON_IN_C.search(body).group() for key, body in bodies.items() if PYTHON_IN_C.search(body)}
    assert touching == {}


@pytest.mark.parametrize("pxd", PXDS, ids=name)
def test_every_function_of_a_pxd_is_noexcept_and_nogil(pxd: Path) -> None:
    signatures = re.findall(r"^cdef inline ([^:]*\([^:]*\)[^:]*):", code_of(pxd), re.MULTILINE)
    assert len(signatures) == len(re.findall(r"^cdef inline ", code_of(pxd), re.MULTILINE))
    assert [s for s in signatures if not s.endswith(") noexcept nogil")] == []


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_cimports_are_absolute_and_name_what_they_take(source: Path) -> None:
    lines = [line for line in code_of(source).splitlines() if re.match(r"(from|cimport)\b.*", line)]
    assert [line for line in lines if re.search(r"cimport \*|from \.|\binclude\b", line)] == []


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_every_cimported_name_is_used(source: Path) -> None:
    rest = re.sub(r"^(from \S+ )?cimport (\([^)]*\)|[^\n(]+)$", "", code_of(source), flags=re.MULTILINE)
    unused = [n for _, names in cimports(source) for n in names if not re.search(rf"\b{re.escape(n)}\b", rest)]
    assert unused == []


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_cimports_run_in_one_direction(source: Path) -> None:
    own = str(source.relative_to(ROOT / "ext").with_suffix(""))
    if own.endswith("__init__"):
        return
    assert [file for file in of_ext(source) if layer(file) > layer(own)] == []


def test_no_two_files_cimport_each_other_in_a_circle() -> None:
    wanted = {str(pxd.relative_to(ROOT / "ext").with_suffix("")): of_ext(pxd) for pxd in PXDS}
    done: set[str] = set()
    while ready := {file for file, needs in wanted.items() if file not in done and done.issuperset(needs)}:
        done |= ready
    assert set(wanted) - done == set()


def test_the_two_lists_of_drop_reasons_agree() -> None:
    header = re.findall(r"^    X\((\w+),", (ROOT / "ext/verdict.h").read_text(), re.MULTILINE)
    names = re.findall(r"^        DROP_(\w+)$", (ROOT / "ext/verdict.pxd").read_text(), re.MULTILINE)
    assert header == names
    assert len(set(header)) == len(header)


def test_every_drop_reason_is_given_somewhere() -> None:
    code = "".join(code_of(source) for source in SOURCES if source.name != "verdict.pxd")
    reasons = re.findall(r"^        (DROP_\w+)$", (ROOT / "ext/verdict.pxd").read_text(), re.MULTILINE)
    assert [reason for reason in reasons if not re.search(rf"\b{reason}\b", code)] == []


@pytest.mark.parametrize("source", [*SOURCES, *sorted(ROOT.glob("swlb/**/*.py"))], ids=name)
def test_a_file_is_short_enough_to_be_read_at_once(source: Path) -> None:
    lines = len(source.read_text().splitlines())
    assert lines <= MOST_LINES or name(source) in LONGER


def test_wheels_are_without_the_doors_that_only_tests_use() -> None:
    before_setup, _, _ = (ROOT / "setup.py").read_text().partition("\nsetup(")
    run = before_setup + "\nprint([module.name for module in MODULES])\n"
    for command, want in (("bdist_wheel", {"swlb._worker"}),
                          ("editable_wheel", {"swlb._worker", *(f"swlb._{pyx.stem}" for pyx in PYXS)} - GUIDED)):
        out = subprocess.run([sys.executable, "-c", run, command], cwd=ROOT, capture_output=True, text=True,
                             check=True)
        assert set(re.findall(r"swlb\._\w+", out.stdout)) == want
