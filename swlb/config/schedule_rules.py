"""What must hold between a service's scheduler and the rest of it."""

from collections.abc import Iterator

from swlb.config.models import Config
from swlb.config.schedule_models import DEFAULT_HASH_KEY, OWN_PREFIX
from swlb.config.source import Finding
from swlb.own_scheduler import NotUsable, load, look_beside


def hash_keys_are_hashed(config: Config) -> Iterator[Finding]:
    """Only a scheduler that hashes has a hash_key."""
    for service in config.services.values():
        if service.hash_key and service.scheduler not in DEFAULT_HASH_KEY and not service.has_own_scheduler:
            found = f"{service.hash_key}, and the scheduler is {service.scheduler}"
            expected = f"the key left out, or a scheduler that hashes: hash, maglev or {OWN_PREFIX}module.Class"
            yield Finding(("services", service.name, "hash_key"), found, expected)


def own_schedulers_can_be_loaded(config: Config, file: str) -> Iterator[Finding]:
    """The class of every scheduler that somebody has written is there, where Python looks or beside the file."""
    for service in config.services.values():
        if service.has_own_scheduler:
            look_beside(file)
            try:
                load(service.scheduler)
            except NotUsable as error:
                expected = "a class that is made without arguments and has a method table(servers)"
                yield Finding(("services", service.name, "scheduler"), f"{service.scheduler}: {error}", expected)
