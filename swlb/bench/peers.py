"""The peers, in the order of the tables, and which of them this machine can run."""

import shutil
from functools import partial
from pathlib import Path

from .modes import start_direct_return, start_one_arm, start_packet, start_tun
from .others import STREAM_MODULE, start_direct, start_haproxy, start_nftables, start_nginx
from .ours import start_routed, start_switch, start_transparent
from .peer import Peer
from .segments import OVS_TOOLS, start_limit, start_ovs

PEERS = {peer.name: peer for peer in (
    Peer("swlb", "swlb", start_routed),
    Peer("swlb-transparent", "swlb transparent", start_transparent),
    Peer("swlb-switch", "swlb switch", start_switch),
    Peer("swlb-one-arm", "swlb one-arm", start_one_arm),
    Peer("swlb-dsr", "swlb DSR", partial(start_direct_return, forward="dsr")),
    Peer("swlb-ipip", "swlb IPIP", partial(start_direct_return, forward="ipip")),
    Peer("swlb-gue", "swlb GUE", partial(start_direct_return, forward="gue")),
    Peer("swlb-packet", "swlb packet ports", start_packet),
    Peer("swlb-tun", "swlb TUN", start_tun, carries_udp=False),
    Peer("swlb-2", "swlb 2 workers", partial(start_routed, workers=2)),
    Peer("swlb-4", "swlb 4 workers", partial(start_routed, workers=4)),
    Peer("direct", "direct link", start_direct),
    Peer("nft", "nftables DNAT", start_nftables),
    Peer("haproxy", "HAProxy", start_haproxy, tools=("haproxy",), carries_udp=False),
    Peer("nginx", "nginx stream", start_nginx, tools=(STREAM_MODULE,)),
    Peer("ovs", "Open vSwitch", start_ovs, tools=OVS_TOOLS),
    Peer("limit-plain", "limit plain", partial(start_limit, how="plain"), tools=("gcc",)),
    Peer("limit-batched", "limit batched", partial(start_limit, how="batched"), tools=("gcc",)),
)}
# Not measured unless asked for: of interest for what a packet costs when several workers share the work.
ON_REQUEST = ("swlb-2", "swlb-4")
DEFAULT_PEERS = tuple(name for name in PEERS if name not in ON_REQUEST)


def missing(tools: tuple[str, ...]) -> list[str]:
    """Those programs (by name) and files (by path) that are not there."""
    return [tool for tool in tools if not (Path(tool).exists() if tool.startswith("/") else shutil.which(tool))]
