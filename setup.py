"""The extensions of swlb and how they are compiled.

`SWLB_BUILD` chooses the mode: release (default), debug, asan, guided, ubsan, gcov, annotate. Use `--force` when
switching; guided is asan by clang, with libFuzzer, and of one module only, which libFuzzer runs. This is the only
place with compiler directives: those in a .pyx would not reach the inline functions of the .pxd files, where the way of
a frame is written.
"""

import os
import platform
import subprocess
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

MODE = os.environ.get("SWLB_BUILD", "release")

# Headers are overlaid on bytes, so strict aliasing is off everywhere.
COMMON = ["-std=gnu11", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-unused-parameter",
          "-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-cast-function-type",
          "-Wno-missing-field-initializers"]

SANITIZED = ["-O1", "-g", "-DSWLB_DEBUG", "-UNDEBUG", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined"]

FLAGS: dict[str, tuple[list[str], list[str]]] = {
    "release": (["-O3", "-fno-plt", "-fvisibility=hidden"], []),
    "debug": (["-O0", "-g", "-DSWLB_DEBUG", "-UNDEBUG"], []),
    "asan": ([*SANITIZED, "-fsanitize=address,undefined"], ["-fsanitize=address,undefined"]),
    # libFuzzer comes with the module, and its hooks must not be taken for those of the sanitizer's library.
    "guided": ([*SANITIZED, "-fsanitize=fuzzer-no-link,address,undefined",
                "-fsanitize-coverage-ignorelist=tests/fuzz/unseen.txt"],
               ["-fsanitize=address,undefined", "-shared-libasan", "-Wl,-Bsymbolic"]),
    "ubsan": ([*SANITIZED, "-fsanitize=undefined"], ["-fsanitize=undefined"]),
    "gcov": (["-O0", "-g", "--coverage"], ["--coverage"]),
    "annotate": (["-O0"], []),
}

if MODE not in FLAGS:
    raise SystemExit(f"SWLB_BUILD={MODE}; expected one of {', '.join(FLAGS)}")

compile_args, link_args = FLAGS[MODE]
libraries: list[str] = []
if MODE == "guided":
    os.environ |= {"CC": "clang", "LDSHARED": "clang -shared"}
    runtime = subprocess.run(["clang", "--print-runtime-dir"], check=True, capture_output=True, text=True).stdout
    libraries = [f"{runtime.strip()}/libclang_rt.fuzzer_no_main-{platform.machine()}.a"]


def extension(name: str, source: str) -> Extension:
    return Extension(name, [source], include_dirs=["."], extra_compile_args=COMMON + compile_args,
                     extra_link_args=link_args, extra_objects=libraries, libraries=["stdc++"] if libraries else [])


DOORS = "testing testing_tables testing_sessions testing_schedule testing_hash testing_fragments testing_fuzz"
MODULES = [extension("swlb._worker", "ext/worker.pyx")]

# The doors that only tests use are built in place and for `pip install -e`, but do not go into a wheel. SWLB_DOORS
# names those that are wanted.
if "bdist_wheel" not in sys.argv:
    MODULES += [extension(f"swlb._{name}", f"ext/{name}.pyx")
                for name in os.environ.get("SWLB_DOORS", DOORS).split()]

if MODE == "guided":
    MODULES = [extension("swlb._testing_guided", "ext/testing_guided.pyx")]

setup(
    ext_modules=cythonize(
        MODULES,
        include_path=["."],
        build_dir=f"build/{MODE}",
        annotate=MODE == "annotate",
        emit_linenums=MODE in ("debug", "asan", "ubsan", "gcov"),
        language_level=3,
        compiler_directives={"cdivision": True, "embedsignature": True},
    ),
)
