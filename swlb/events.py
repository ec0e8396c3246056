"""What has happened, kept for `swlb show events` and written to the log as it happens."""

import logging
import time
from collections import deque
from typing import Any

log = logging.getLogger("swlb")

KEPT = 4096
WARNINGS = frozenset(
    {"server_down", "service_down", "config_refused", "port_down", "address_conflict", "vip_conflict", "table_full",
     "reply_bypasses", "fail_open", "passive", "backup", "scheduler_failed",
     "syn_flood", "source_limit"}
)  # fmt: skip


class Events:
    """The last KEPT events, oldest first. An event is a dict: time (Unix seconds), kind, service, server, text."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(
        self, kind: str, text: str, *, service: str | None = None, server: str | None = None, **more: object
    ) -> None:
        """The event is kept and logged; `more` is what belongs to its kind."""
        self._events.append(
            {"time": round(time.time(), 6), "kind": kind, "service": service, "server": server, "text": text, **more}
        )
        log.log(logging.WARNING if kind in WARNINGS else logging.INFO, "%s: %s", kind, text)

    def rows(self) -> list[dict[str, Any]]:
        """All that are kept, oldest first."""
        return list(self._events)
