"""What becomes of a server's sessions when it goes down, in numbers and in words. What it tells, ext/forward does.

Nothing happens to a session before its next packet: then it goes on (keep), is scheduled anew (reschedule), ends with
a reset (reset), or the packet is dropped (drop). Without `on_down` established TCP is reset and all else rescheduled.
"""

from swlb.config import Service
from swlb.config.source import counted

WORDS = {
    "keep": "still sent to it",
    "reschedule": "rescheduled",
    "reset": "reset",
    "drop": "dropped while it is down",
}


def effect_of(service: Service, figures: dict[str, int]) -> dict[str, int]:
    """How many of a server's sessions meet each fate; only those that some meet. `figures` are the server's."""
    active, inactive = fates_of(service)
    fates = dict.fromkeys((active, inactive), 0)
    fates[active] += figures["sessions_active"]
    fates[inactive] += figures["sessions_inactive"]
    return {fate: count for fate, count in fates.items() if count}


def fates_of(service: Service) -> tuple[str, str]:
    """The fate of sessions that are active, and of those that are not."""
    if service.on_down:
        return service.on_down, service.on_down
    return "reset" if service.protocol == "tcp" else "reschedule", "reschedule"


def effect_text(effect: dict[str, int]) -> str:
    """The same in words: "it has 3 sessions; at their next packet 2 reset, 1 rescheduled"."""
    if not effect:
        return "it has no sessions"
    count = sum(effect.values())
    fates = ", ".join(f"{number} {WORDS[fate]}" for fate, number in effect.items())
    return f"it has {counted(count, 'session')}; at {'its' if count == 1 else 'their'} next packet {fates}"
