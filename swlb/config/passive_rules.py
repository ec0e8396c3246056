"""What must hold where a service's own traffic may speak against its servers: `passive`."""

from collections.abc import Iterator

from swlb.config.models import Config
from swlb.config.passive_models import Passive
from swlb.config.service_models import Service
from swlb.config.source import Finding, Path
from swlb.durations import duration_text


def passive_has_evidence(config: Config) -> Iterator[Finding]:
    """There is traffic that can say something against a server."""
    for service, passive, path in _passive(config):
        if service.is_direct and service.protocol == "udp":
            found = f"evidence wanted of udp with forward {service.forward}"
            yield Finding(path, found, "the key left out: what servers answer passes swlb by, so it cannot be missed")
        elif service.protocol == "tcp" and passive.one_way:
            yield Finding((*path, "one_way"), "true, and the service is tcp", "false: it is about datagrams only")


def passive_has_a_check_to_ask(config: Config) -> Iterator[Finding]:
    """A probe that is wanted at once is one of a check."""
    for service, passive, path in _passive(config):
        if passive.action == "probe" and not service.checks:
            expected = "a check of the service, or action: down"
            yield Finding(path, "action probe, and nothing to probe with: the service has no check", expected)


def passive_takes_out_on_sure_evidence(config: Config) -> Iterator[Finding]:
    """Where only the client is heard, its word alone takes no server out."""
    for service, passive, path in _passive(config):
        if passive.action == "down" and service.is_direct:
            found = f"down with forward {service.forward}"
            expected = "probe: swlb hears the client only, who may ask again for reasons of its own"
            yield Finding((*path, "action"), found, expected)


def back_offs_grow(config: Config) -> Iterator[Finding]:
    """A back-off is no longer than the longest."""
    for _, passive, path in _passive(config):
        if passive.back_off > passive.back_off_max:
            found = f"{duration_text(passive.back_off_max)}, which is less than back_off"
            yield Finding((*path, "back_off_max"), found, f"at least {duration_text(passive.back_off)}")


def _passive(config: Config) -> Iterator[tuple[Service, Passive, Path]]:
    for service in config.services.values():
        if service.passive is not None:
            yield service, service.passive, ("services", service.name, "passive")
