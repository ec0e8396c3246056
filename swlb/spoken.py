"""What an agent says of its server, beside what the operator wants and what checks say. No I/O, no clock.

An agent's words are kept, each until the agent itself says otherwise: one that cannot be reached, or that does not
mention a thing, changes nothing. Its `up` and `down` are a check's; its admin state and its weight stand beside the
operator's. With another check beside the agent, and `need: all`:

| check | agent says | operator | operational | takes new sessions | is sent packets |
|---|---|---|---|---|---|
| up | ready up | ready | up | yes | yes |
| down | ready up | ready | down | no | no |
| checking | ready up | ready | checking | no | no |
| up | down | ready | down | no | no |
| up | fail | ready | down | no | no |
| up | stopped | ready | down | no | no |
| up | drain | ready | up | no | yes |
| up | maint | ready | up | no | no |
| up | ready up | drain | up | no | yes |
| up | ready up | maint | up | no | no |
| up | maint up | drain | up | no | no |
| up | drain up | maint | up | no | no |
| up | 0% | ready | up | no | yes |
| up | 50% | ready | up | yes | yes |
| up | (silent) | ready | up | yes | yes |
| down | (silent) | ready | down | no | no |
| none | ready | ready | up | yes | yes |
| none | up | ready | up | yes | yes |
| none | down | ready | down | no | no |
| none | (silent) | ready | checking | no | no |

Silent is an agent that has never answered. One that answers without a word of health means up.

`maxconn` replaces what is configured as `max_connections`; `maxconn:0` means any number, as it does in HAProxy.
"""

from dataclasses import dataclass, replace

from swlb.combined import NO_WORD
from swlb.config.schedule_models import Limit
from swlb.health import CHECKING, UP
from swlb.probes.outcome import Report

READY, DRAIN, MAINT = "ready", "drain", "maint"
STRENGTH = (READY, DRAIN, MAINT)


@dataclass(frozen=True, slots=True)
class Words:
    """An agent's last words on each thing; None and "" of what it has never mentioned. `at` is when it last spoke."""

    at: float
    health: str | None = None
    admin: str | None = None
    weight: int | None = None
    weight_is_percent: bool = False
    max_connections: int | None = None
    description: str = ""

    def then(self, report: Report, now: float) -> "Words":
        """What holds after that report: what it does not mention stays, but a description belongs to one report."""
        words = replace(self, at=now, description=report.description)
        if report.health is not None:
            words = replace(words, health=report.health)
        if report.admin is not None:
            words = replace(words, admin=report.admin)
        if report.weight is not None:
            words = replace(words, weight=report.weight, weight_is_percent=report.weight_is_percent)
        if report.max_connections is not None:
            words = replace(words, max_connections=report.max_connections)
        return words

    def __str__(self) -> str:
        said = [word for word in (self.admin, self.health) if word is not None]
        if self.weight is not None:
            said.append(f"{self.weight}%" if self.weight_is_percent else f"weight:{self.weight}")
        if self.max_connections is not None:
            said.append(f"maxconn:{self.max_connections}")
        return " ".join(said) + (f" #{self.description}" if self.description else "")


def stronger(operator: str, agent: str) -> str:
    """The admin state that holds: maint before drain before ready."""
    return max(operator, agent, key=STRENGTH.index)


def share_of(configured: int, percent: int) -> int:
    """That much of the configured weight, halves rounded up. A bit of 1 is not nothing: only 0 % takes a server out."""
    share = (configured * percent + 50) // 100
    return max(1, share) if configured and percent else 0


def weight_said(words: Words, *, configured: int, ordered: int) -> int:
    """The weight that holds: the agent's where it has said one, but 0 where the operator's is 0.

    `ordered` is the operator's, or the configured one as long as he has given no order.
    """
    if words.weight is None or ordered == 0:
        return ordered
    return share_of(configured, words.weight) if words.weight_is_percent else words.weight


def limit_said(words: Words, configured: Limit | None) -> Limit | None:
    """How many sessions it may have open: the agent's number where it has said one, of which 0 means any number.

    The configured `lower` stays, as far as it is not above that.
    """
    if words.max_connections is None:
        return configured
    upper = words.max_connections
    return Limit(upper, min(upper, configured.lower if configured else upper)) if upper else None


def standing(before: str, *, answered: bool) -> str:
    """How a check that stood at `before` stands after a probe that gave no verdict, whether the agent answered or not.

    One that has never had a verdict has no vote, and an agent that answers without a word of health means up.
    """
    if before not in (CHECKING, NO_WORD):
        return before
    return UP if answered else NO_WORD
