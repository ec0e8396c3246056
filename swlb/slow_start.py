"""How much of a server counts while it starts slowly. No I/O, no clock.

A server that takes sessions again after it did not serve would get its whole share at once, with cold caches: of its
weight, and of the sessions it may have, a share counts that grows in a straight line.
"""

import math

SHARE_FULL = 256  # ext/tables/server.pxd
STEPS = 64  # in which the share grows
LEAST_STEP_S = 0.05


def share_at(elapsed: float, over: float) -> int:
    """The share, of SHARE_FULL, of a server that began so many of its `over` seconds ago: never nothing."""
    if elapsed >= over:
        return SHARE_FULL
    return max(1, math.ceil(SHARE_FULL * elapsed / over))


def step_of(over: float) -> float:
    """Seconds from one change of the share to the next."""
    return max(LEAST_STEP_S, over / STEPS)


def portion(whole: int, share: int) -> int:
    """That share of a weight, or of a number of sessions: at least 1, unless the whole is 0."""
    return -(-whole * share // SHARE_FULL)
