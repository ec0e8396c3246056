"""What `swlb show timeouts` tells: how long sessions, fragments and neighbours are kept that nothing is heard of."""

from dataclasses import asdict
from typing import Any

from swlb.config.service_models import Timeouts

MEANINGS = {
    "tcp_syn": "TCP that is opening, or goes on in mid-stream and is not answered yet",
    "tcp_established": "TCP that is open",
    "tcp_fin": "TCP that one side or both have closed",
    "tcp_closed": "TCP after a reset; UDP once all its responses have come",
    "udp": "UDP without a reply",
    "udp_stream": "UDP with one",
    "icmp": "an echo out of a segment that masquerades",
    "fragment": "what is known of a packet in fragments, from the first of them that comes",
    "neighbour": "a next hop since its last sign of life; then it is asked again",
}


def timeout_rows(timeouts: Timeouts) -> list[dict[str, Any]]:
    """One row an idle time, in seconds, and what it is of."""
    return [{"name": name, "seconds": value, "meaning": MEANINGS[name]} for name, value in asdict(timeouts).items()]
