"""What a service can do, as its servers are now, and what is told when that changes. No I/O, no clock."""

from collections.abc import Collection
from dataclasses import dataclass

from swlb import fail_open
from swlb.backups import InUse, backups_begun, backups_in_use, backups_over, takers_of
from swlb.config import Service
from swlb.events import Events
from swlb.servers import ServerState


@dataclass(frozen=True)
class ServiceState:
    """Whether it serves anybody, takes new sessions, ignores its servers' health, and which backups take sessions."""

    serves: bool
    takes: bool
    ignores_health: bool
    backups: InUse

    @classmethod
    def of(cls, servers: Collection[ServerState]) -> "ServiceState":
        """The service with these servers, as they are."""
        return cls(
            serves=any(server.serves for server in servers),
            takes=any(server.effective_weight for server in servers),
            ignores_health=any(server.health_ignored for server in servers),
            backups=backups_in_use(servers),
        )


def tell_service(
    events: Events, service: Service, servers: Collection[ServerState], before: ServiceState, now: ServiceState
) -> None:
    """The events of a service that was `before` and is `now`: of fail_open, of backups, of its beginning and end."""
    if now.ignores_health and not before.ignores_health:
        events.add("fail_open", fail_open.begun(service.name, service.fail_open, servers), service=service.name)
    elif before.ignores_health and not now.ignores_health:
        events.add("fail_open_over", fail_open.ended(service.name, servers), service=service.name)
    _tell_backups(events, service, servers, before.backups, now.backups)
    if now.serves and not before.serves:
        how = "can serve" if now.takes else "can serve the sessions it has, and takes no new ones"
        events.add("service_up", f"service {service.name} {how}", service=service.name)
    elif before.serves and not now.serves:
        events.add("service_down", f"service {service.name} has no server left", service=service.name)


def _tell_backups(
    events: Events, service: Service, servers: Collection[ServerState], before: InUse, now: InUse
) -> None:
    takers = takers_of(servers)
    for version, names in now.items():
        if version not in before:
            text = backups_begun(service, version, names)
            events.add("backup", text, service=service.name, backups=list(names))
    for version, names in before.items():
        if version not in now:
            others = tuple(server.config.name for server in takers.get(version, ()) if not server.config.backup)
            text = backups_over(service, version, names, others)
            events.add("backup_over", text, service=service.name, backups=list(names))
