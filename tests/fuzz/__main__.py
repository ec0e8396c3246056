"""Throws random and spoilt frames at the fast path: python -m tests.fuzz --frames 10000000 --seed 1 --seconds 1200

Shared between the shapes of tests/fuzz/shapes.py. Ends with 1 at the first fault. With --extensions DIR the compiled
modules come from DIR/swlb, as for a build with sanitizers that is kept apart from the ordinary one.
"""

import argparse
import sys

import swlb
from tests.fuzz.run import fuzz
from tests.fuzz.shapes import SHAPES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000_000, help="in all (default: 10 million)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1200, help="no longer than this in all (default: 1200)")
    parser.add_argument("--extensions", metavar="DIR", help="where a separate build of the extensions lies")
    options = parser.parse_args()
    if options.extensions:
        swlb.__path__.insert(0, f"{options.extensions}/swlb")
    from swlb import _testing_fuzz

    print(f"through {_testing_fuzz.__file__}")
    done = 0
    for n, make in enumerate(SHAPES):
        print(f"{make.__name__}: seed {options.seed + n} ...", flush=True)
        share = options.frames // len(SHAPES) + (options.frames % len(SHAPES) if n == 0 else 0)
        try:
            outcome = fuzz(make, seed=options.seed + n, frames=share, seconds=options.seconds / len(SHAPES))
        except AssertionError as fault:
            print(fault, file=sys.stderr)
            return 1
        done += outcome.frames
        print(f"{outcome.shape}: {outcome.frames:,} frames in {outcome.seconds:.0f} s, {outcome.sent:,} left, "
              f"{outcome.merged:,} datagrams more in the frames of others, {outcome.tunnelled:,} through tunnels, "
              f"{outcome.fragments:,} of these fragments, {outcome.pieces:,} as pieces, at most "
              f"{outcome.most_sessions:,} sessions; dropped for {len(outcome.drops)} reasons: "
              + ", ".join(f"{name} {count:,}" for name, count in outcome.drops.items()), flush=True)
    print(f"{done:,} frames, no fault" + ("" if done == options.frames else f" (of {options.frames:,}: time was up)"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
