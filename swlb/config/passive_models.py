"""What a service's own traffic may say against its servers, as values: how much of it counts, and what follows."""

from dataclasses import dataclass
from typing import Annotated

from swlb.config.forms import Count, Flag
from swlb.config.values import choice, seconds
from swlb.durations import DAY

BackOff = Annotated[float, seconds(0.1, DAY)]


@dataclass(frozen=True, kw_only=True)
class Passive:
    """Passive evidence: that many `failures` within that time, and nobody answered meanwhile. Durations in seconds.

    `one_way`: datagrams that are never answered count, too; only where servers answer every client.
    """

    failures: Count = 3
    # So long is remembered what every look finds.
    within: Annotated[float, seconds(0.1, 600)] = 10.0
    action: Annotated[str, choice("probe", "down")] = "probe"
    back_off: BackOff = 5.0
    back_off_max: BackOff = 3600.0
    one_way: Flag = False
