"""What a check must say so that a probe of its type can ask something, and its timers can be kept."""

import os
from collections.abc import Iterator

from swlb.config.check_models import KEYS_OF_TYPE, ONE_KEY_EACH, PROBE_GRACE_S, PROBE_PORTS, PROBE_SWEEP_S
from swlb.config.models import Config, check_place, placed_checks
from swlb.config.source import Finding, show
from swlb.config.ways import vips_of
from swlb.durations import duration_text

# The types that ask nothing without this key, and what it may look like.
NEEDS = {
    "script": ("steps", '[{send: "PING\\r\\n"}, {expect: "+PONG"}]'),
    "exec": ("command", "[/usr/local/bin/is-ready]"),
}


def checks_ask_something(config: Config) -> Iterator[Finding]:
    """A script has steps, each with a key, and an exec check has a command."""
    for path, check in placed_checks(config):
        if check.type in NEEDS:
            key, example = NEEDS[check.type]
            if not getattr(check, key):
                yield Finding(path, f"a check of type {check.type} without {key}", f"{key}, such as {example}")
        for index, step in enumerate(check.steps):
            if not step.keys:
                yield Finding((*path, "steps", index), "a step without a key", ONE_KEY_EACH)


def programs_can_be_run(config: Config) -> Iterator[Finding]:
    """The program of an exec check is there, and may be executed."""
    for path, check in placed_checks(config):
        if not check.command:
            continue
        program = check.command[0]
        if not os.path.isfile(program):
            yield Finding((*path, "command"), f"{show(program)}, which is no file here", "the full path of a program")
        elif not os.access(program, os.X_OK):
            found = f"{show(program)}, which may not be executed"
            yield Finding((*path, "command"), found, f"a program; make it one with: chmod +x {program}")


def probes_through_vips_are_few_enough(config: Config) -> Iterator[Finding]:
    """The ports that probes through VIPs leave by are enough, were every server silent."""
    need = 0.0
    for service in config.services.values():
        targets = sum(len(vips_of(service, server)) for server in service.servers.values())
        for check in service.checks_through_vip:
            need += targets * (2 * check.response + PROBE_GRACE_S + PROBE_SWEEP_S) / check.interval
    if need > PROBE_PORTS:
        found = f"checks via vip that may keep {need:.0f} source ports at a time"
        yield Finding(("services",), found, f"at most {PROBE_PORTS}: fewer servers, longer intervals, or via server")


def checks_know_their_port(config: Config) -> Iterator[Finding]:
    """A check of one port has one to probe on every server, or one of the VIP that is the service's."""
    for service in config.services.values():
        has_range = service.port_first < service.port_last
        without = [server.name for server in service.servers.values() if server.port is None]
        for index, check in enumerate(service.checks):
            place = check_place(service, index)
            if service.via(check) == "vip":
                if why := service.why_not_through_vip(check):
                    yield Finding(place if check.name else (*place, "via"), "vip", f"server, because {why}")
                continue
            if "port" in KEYS_OF_TYPE[check.type] and check.port is None and has_range and without:
                found = f"no port to probe on server {without[0]}, because the service has many"
                yield Finding(place, found, "a port of the check, or one of each server")


def checks_look_into_bodies_that_there_are(config: Config) -> Iterator[Finding]:
    """Content is looked for only in answers that have a body."""
    for path, check in placed_checks(config):
        for key in ("content", "content_not"):
            if check.method == "HEAD" and getattr(check, key) is not None:
                found = "content of an answer to HEAD, which has no body"
                yield Finding((*path, key), found, "method GET, OPTIONS or POST")


def checks_use_the_authority_they_name(config: Config) -> Iterator[Finding]:
    """An authority is named only where certificates are verified."""
    for path, check in placed_checks(config):
        if check.ca is not None and not check.verify:
            found = f"{show(str(check.ca))} beside verify: false, which takes any certificate"
            yield Finding((*path, "ca"), found, "one of the two")


def fast_intervals_are_fast(config: Config) -> Iterator[Finding]:
    """No check is slower where it has reason to hurry."""
    for path, check in placed_checks(config):
        if check.fast_interval and check.fast_interval > check.interval:
            found = f"{duration_text(check.fast_interval)}, longer than the interval of {duration_text(check.interval)}"
            yield Finding((*path, "fast_interval"), found, "at most the interval")


def fail_open_has_a_check(config: Config) -> Iterator[Finding]:
    """Health that is to be ignored is known."""
    for service in config.services.values():
        if service.fail_open and not service.checks:
            path = ("services", service.name, "fail_open")
            found = f"{service.fail_open:.0%} of servers that always count as up, because there is no check"
            yield Finding(path, found, "a check beside it, or the key left out")
