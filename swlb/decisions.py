"""Why the last new sessions were given to the servers they have: rows of `swlb show decisions`, with a text for people.

Figures are of the moment before the session began. Names are those of now: of a server
that has left, its own until another has its index.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from swlb.addresses import endpoint_text, unpacked
from swlb.build_service import PROTOCOLS
from swlb.config.schedule_models import HASH_KEYS
from swlb.servers import ServerState
from swlb.session_filter import SessionFilter
from swlb.slow_start import SHARE_FULL, portion
from swlb.succession import Departed

Row = dict[str, Any]
Decision = dict[str, Any]

PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


def decision_row(decision: Decision, servers: Mapping[int, ServerState | Departed]) -> Row:
    """One decision of a worker; `servers` by index."""
    chosen = servers.get(decision["server"])
    named = servers.get(decision["named"])
    client = unpacked(decision["client"])
    row = {
        "time": round(time.time() - (time.monotonic_ns() - decision["at_ns"]) / 1e9, 6),
        "protocol": PROTOCOL_NAMES[decision["protocol"]],
        "client": endpoint_text(client, decision["client_port"]),
        "vip": None,
        "service": chosen and chosen.service.name,
        "server": chosen and chosen.config.name,
        "scheduler": decision["scheduler"],
        "because": decision["because"],
        "named": named and named.config.name,
        **{name: decision[name] for name in ("backup", "mid_stream", "candidates", "active", "inactive")},
        "weight": portion(decision["weight"], decision["share"]),
    }
    if chosen is not None:
        vip = next((vip for vip in chosen.service.vips if vip.version == client.version), None)
        row["vip"] = vip and endpoint_text(vip, decision["vip_port"])
        if decision["scheduler"] == "table":
            row["scheduler"] = chosen.service.scheduler
    return row | {"text": text(row, decision["hash_key"], slow=decision["share"] < SHARE_FULL)}


def decision_rows(
    decisions: Iterable[Decision], servers: Mapping[int, ServerState | Departed], wanted: SessionFilter
) -> list[Row]:
    """Those that are wanted, oldest first; of more than the limit the last."""
    made = (decision_row(decision, servers) for decision in decisions if _is_client(decision, wanted))
    rows = [row for row in made if wanted.service in (None, row["service"]) and wanted.server in (None, _path(row))]
    return rows if wanted.limit is None else rows[-wanted.limit :]


def _is_client(decision: Decision, wanted: SessionFilter) -> bool:
    return wanted.client is None or unpacked(decision["client"]) in wanted.client


def _path(row: Row) -> str:
    return f"{row['service']}/{row['server']}"


def text(row: Row, hash_key: str, *, slow: bool) -> str:
    """Why, in words: the rule by which the server was chosen, and what about it was unusual."""
    because = row["because"]
    if because == "persistence":
        why = "the client had it before"
    elif because == "next":
        first = row["named"] or "the first choice"
        why = f"{first} has the client's port in use already; {row['server'] or 'this'} is the next that has not"
    elif because == "fallback":
        first = f"{row['named']}, which the hash names," if row["named"] else "the server that the hash names"
        why = f"{first} takes no session; {row['server'] or 'this'} is the hash's next choice"
    elif row["candidates"] == 1:
        why = "no other server can take it"
    else:
        why = f"{row['scheduler']}: {_by_scheduler(row, hash_key)}"
    return "; ".join([why, *_besides(row, slow=slow and because not in ("persistence", "next"))])


def _besides(row: Row, *, slow: bool) -> list[str]:
    notes = ["it is a backup"] if row["backup"] else []
    notes += ["it starts slowly, so its weight counts in part"] if slow else []
    return notes + (["its connection was in mid-stream"] if row["mid_stream"] else [])


def _by_scheduler(row: Row, hash_key: str) -> str:
    """What the scheduler says of the server it named."""
    heads, weight = f"{row['candidates']} servers", row["weight"]
    # As schedulers by load reckon: an active session counts as much as 256 inactive ones.
    load = f"256x{row['active']}+{row['inactive']}"
    share = f"({load})/{weight}"
    match row["scheduler"]:
        case "rr":
            return f"next in turn of {heads}"
        case "wrr":
            return f"next in turn by weight ({weight}) of {heads}"
        case "lc":
            return f"{load} is the least of {heads}"
        case "wlc":
            return f"{share} is the least of {heads}"
        case "nq" if row["active"] == 0:
            return f"the first of {heads} without an active session"
        case "sed" | "nq":
            return f"({row['active']}+1)/{weight} is the least of {heads}"
        case "p2c":
            return f"{share} is the less of two drawn from {heads}"
        case "fo":
            return f"the highest weight ({weight}) of {heads}"
        case "overflow":
            return f"the heaviest of {heads} with room, {row['active']} active of {weight}"
        case "hash" | "maglev":
            return f"the hash of {HASH_KEYS[hash_key]} names it"
        case _:
            return "its table names it, or while that names nobody its turn does"
