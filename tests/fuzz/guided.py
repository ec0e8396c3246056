"""libFuzzer over the fast path, led by what its inputs reach: python -m tests.fuzz.guided --extensions DIR --seconds 60

Every input goes through one of the shapes of tests/fuzz/shapes.py; what leaves is judged, and the sanitizers watch.
What was found to reach something new is kept in --corpus and is where the next run begins. The first fault ends it: the
input is written beside the corpus, and `--again FILE` runs that one alone.
"""

import argparse
import os
import sys
from pathlib import Path

import swlb
from tests.fuzz.seeds import write_seeds
from tests.fuzz.shapes import SHAPES, START_NS

LONGEST = 16_384           # bytes an input may have
SLOW_S = 20                # for one input: then it counts as a fault


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__.splitlines()[0])
    parser.add_argument("--extensions", metavar="DIR", required=True, help="where the build SWLB_BUILD=guided lies")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=Path("build/guided/corpus"), help="what was found before")
    parser.add_argument("--again", metavar="FILE", help="run this input alone")
    options = parser.parse_args()
    swlb.__path__.insert(0, f"{options.extensions}/swlb")
    from swlb._testing_guided import drive

    found, seeds = options.corpus, options.corpus.parent / "seeds"
    found.mkdir(parents=True, exist_ok=True)
    arguments = ["tests.fuzz.guided", f"-seed={options.seed}", f"-timeout={SLOW_S}", "-rss_limit_mb=4096"]
    if options.again:
        arguments.append(options.again)
    else:
        print(f"{write_seeds(seeds)} inputs to begin with, {len(os.listdir(found))} found by earlier runs", flush=True)
        arguments += [f"-max_total_time={options.seconds}", f"-max_len={LONGEST}", "-print_final_stats=1",
                      f"-artifact_prefix={found.parent}/", str(found), str(seeds)]
    return drive([make().worker for make in SHAPES], arguments, START_NS)


if __name__ == "__main__":
    sys.exit(main())
