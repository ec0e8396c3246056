"""The extensions of swlb and how they are compiled.

`SWLB_BUILD` chooses the mode: release (default), debug, asan, ubsan, gcov, annotate. Use `--force` when
switching. This is the only place with compiler directives: those in a .pyx would not reach the inline
functions of the .pxd files, where the way of a frame is written.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

MODE = os.environ.get("SWLB_BUILD", "release")

# Headers are overlaid on bytes, so strict aliasing is off everywhere.
COMMON = ["-std=gnu11", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-unused-parameter",
          "-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-cast-function-type",
          "-Wno-missing-field-initializers"]

FLAGS: dict[str, tuple[list[str], list[str]]] = {
    "release": (["-O3", "-fno-plt", "-fvisibility=hidden"], []),
    "debug": (["-O0", "-g", "-DSWLB_DEBUG", "-UNDEBUG"], []),
    "asan": (["-O1", "-g", "-DSWLB_DEBUG", "-UNDEBUG", "-fsanitize=address,undefined", "-fno-omit-frame-pointer",
              "-fno-sanitize-recover=undefined"], ["-fsanitize=address,undefined"]),
    "ubsan": (["-O1", "-g", "-DSWLB_DEBUG", "-UNDEBUG", "-fsanitize=undefined", "-fno-sanitize-recover=undefined"],
              ["-fsanitize=undefined"]),
    "gcov": (["-O0", "-g", "--coverage"], ["--coverage"]),
    "annotate": (["-O0"], []),
}

if MODE not in FLAGS:
    raise SystemExit(f"SWLB_BUILD={MODE}; expected one of {', '.join(FLAGS)}")

compile_args, link_args = FLAGS[MODE]


def extension(name: str, source: str) -> Extension:
    return Extension(name, [source], include_dirs=["."], extra_compile_args=COMMON + compile_args,
                     extra_link_args=link_args)


MODULES = [extension("swlb._worker", "ext/worker.pyx")]

# The doors that only tests use are built in place and for `pip install -e`, but do not go into a wheel.
if "bdist_wheel" not in sys.argv:
    MODULES += [extension(f"swlb._{name}", f"ext/{name}.pyx")
                for name in ("testing", "testing_tables", "testing_sessions", "testing_schedule", "testing_hash",
                             "testing_fragments", "testing_fuzz")]

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
