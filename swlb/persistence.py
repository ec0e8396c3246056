"""Persistence in words: who comes back to whom, and for how long."""

from swlb.config.models import Service
from swlb.config.source import counted
from swlb.durations import duration_text

WHOLE = {4: 32, 6: 128}  # bits


def persistence_words(service: Service) -> str:
    """What a service's persistence does; nothing where it has none."""
    persistence = service.persistence
    if persistence is None:
        return ""
    masks = {4: persistence.mask, 6: persistence.mask6}
    versions = sorted({vip.version for vip in service.vips})
    clients = " and ".join(_clients(version, masks[version]) for version in versions)
    until = f"until {duration_text(persistence.timeout)} after their last session"
    unless = "not when it is down, full or of weight 0"
    return f"persistence: {clients} come back to their server {until}; {unless}.{_when_over(service)}"


def _when_over(service: Service) -> str:
    """When that last session is over: later than clients think."""
    if service.protocol != "tcp":
        return ""
    return f" A closed connection is a session for {duration_text(service.timeouts.tcp_fin)} more (timeout tcp_fin)."


def _clients(version: int, mask: int) -> str:
    """Who counts as one client."""
    if mask == WHOLE[version]:
        return f"IPv{version} clients"
    agree = f"agree in the first {counted(mask, 'bit')}" if mask else "are whatever they are"
    return f"IPv{version} clients whose addresses {agree}"


def is_outdated(before: Service, now: Service) -> bool:
    """Whether what was remembered means nothing any more: others count as one client, or nobody is to come back.

    A timeout that has changed holds for those who are remembered, too.
    """
    old, new = before.persistence, now.persistence
    return old is not None and (new is None or (old.by, old.mask, old.mask6) != (new.by, new.mask, new.mask6))
