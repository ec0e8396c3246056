"""From a file's data to a Config: what is unknown, and what has the wrong form.

Whatever is wrong is named and taken out of the data, with as little around it as possible. So the rest can still
become a Config that the rules may judge, and one run names everything.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from swlb.config.check_models import (
    CHECK_FORMS,
    NEEDS,
    Check,
    Several,
    foreign_keys,
    keys_of_check,
    need_of,
    types_with,
)
from swlb.config.models import CHECK_PLACES, PLACES, Config, Service, keys_of
from swlb.config.source import Finding, Path, show
from swlb.config.values import one_of

CONFIG: TypeAdapter[Config] = TypeAdapter(Config)
KEYS = {model: keys_of(model) for model in (*PLACES.values(), Several)}


class Draft:
    """A file's data on its way to a Config. Every step takes out of `data` what it adds to `findings`."""

    def __init__(self, data: object, findings: list[Finding]) -> None:
        self.data = data
        self.findings = findings

    def refuse_unknown_keys(self) -> None:
        """Keys that the configuration does not have are found, with the nearest that it has."""
        for place, model in PLACES.items():
            for path, mapping in list(_find(self.data, place)):
                if not isinstance(mapping, dict):
                    continue
                of = _model_of(model, mapping)
                for key in [key for key in mapping if key not in KEYS[of]]:
                    known = one_of(_keys_at(of, mapping), instead_of=key)
                    self.findings.append(Finding((*path, key), "an unknown key", f"one of {known}"))
                    self._remove((*path, key))

    def refuse_foreign_keys(self) -> None:
        """Keys that only checks of another type have are found, with the types that do."""
        for place in (place for place, model in PLACES.items() if model is Check):
            for path, check in list(_find(self.data, place)):
                mapping = check if isinstance(check, dict) else {}
                for key in foreign_keys(mapping):
                    found = f"a key that a check of type {mapping.get('type', 'tcp')} does not have"
                    self.findings.append(Finding((*path, key), found, f"a type that has it: {types_with(key)}"))
                    self._remove((*path, key))

    def refuse_unknown_checks(self) -> None:
        """Names that stand for no check are found, with the nearest that do. They stay in the data, as no check."""
        known = _entries(_entries(self.data).get("checks"))
        for place in CHECK_PLACES[1:]:
            for path, name in _find(self.data, place):
                if isinstance(name, str) and name not in known:
                    form = f"one of `checks`: {one_of(known, instead_of=name)}" if known else CHECK_FORMS
                    self.findings.append(Finding(path, f"{show(name)}, which is no check's name", form))

    def refuse_two_needs(self) -> None:
        """A service whose servers need all of some checks and any of others is found."""
        for path, check in list(_find(self.data, CHECK_PLACES[1])):
            if all(need in _entries(check) for need in NEEDS):
                self.findings.append(Finding(path, "all and any beside each other", "one of them"))
                self._remove(path)

    def config(self) -> Config | None:
        """The Config of what has the right form; None where too little has."""
        config, errors = _validated(self.data)
        self.findings += [_finding(error) for error in errors]
        while errors:
            # Later errors only name what is missing because it was taken out here.
            parts = {_smallest_part(error) for error in errors}
            if () in parts or not [part for part in parts if self._remove(part)]:
                return None
            config, errors = _validated(self.data)
        return config

    def is_sound(self, section: str) -> bool:
        """True when nothing was taken out of the section: what is not there now was never there."""
        # An unknown key at the top may be any section, misspelt.
        unsound = {finding.path[0] if finding.path else section for finding in self.findings}
        return section not in unsound and unsound <= KEYS[Config].keys()

    def _remove(self, path: Path) -> bool:
        """Whether there was something at the path; it is gone."""
        parent = self.data
        for step in path[:-1]:
            parent = _entries(parent).get(step)
        there = path[-1] in _entries(parent)
        if there:
            del parent[path[-1]]  # type: ignore[index,attr-defined]
        return there


def _entries(data: object) -> dict:
    """What is in a mapping or a list, by key or index."""
    if isinstance(data, dict):
        return data
    return dict(enumerate(data)) if isinstance(data, list) else {}


def _find(data: object, place: tuple[str, ...]) -> Iterator[tuple[Path, object]]:
    """Every path of the data that the place stands for, with its value."""
    if not place:
        yield (), data
        return
    for step, value in _entries(data).items():
        if place[0] in ("*", step):
            yield from (((step, *rest), found) for rest, found in _find(value, place[1:]))


def _validated(data: object) -> tuple[Config | None, list[ErrorDetails]]:
    """The Config, or the errors for which there is none."""
    try:
        config = CONFIG.validate_python(data)
    except ValidationError as error:
        return None, [_written(error, data) for error in error.errors(include_url=False)]
    services = {
        name: _with_timeouts_of(config, _with_checks_of(config, service), data)
        for name, service in config.services.items()
    }
    return replace(config, services=services), []


def _with_checks_of(config: Config, service: Service) -> Service:
    """The service with the checks of the configuration in the place of their names."""
    checks = [config.checks.get(check.name) if check.name else check for check in service.checks]
    return replace(service, checks=tuple(check for check in checks if check))


def _written(error: ErrorDetails, data: object) -> ErrorDetails:
    """The error at the path that the file has: a service's check is a list in none of its forms."""
    loc = error["loc"]
    if loc[:1] != ("services",) or loc[2:3] != ("check",):
        return error
    check = next(found for _, found in _find(data, tuple(map(str, loc[:3]))))
    need = need_of(check)
    if need and len(loc) == 3:
        return {**error, "loc": (*loc, need), "input": _entries(check)[need]}
    return {**error, "loc": (*loc[:3], *((need,) if need else ()), *loc[3 if need else 4 :])}


def _with_timeouts_of(config: Config, service: Service, data: object) -> Service:
    """The service with its own timeouts over those of the configuration."""
    own = data
    for step in ("services", service.name, "timeouts"):
        own = _entries(own).get(step)
    merged = replace(config.timeouts, **{key: getattr(service.timeouts, key) for key in _entries(own)})
    return replace(service, timeouts=merged)


def _finding(error: ErrorDetails) -> Finding:
    path = tuple(step for step in error["loc"] if step != "[key]")
    if error["type"] == "missing":
        return Finding(path, "nothing", _form_at(path))
    return Finding(path, show(error["input"]), error.get("ctx", {}).get("what") or _form_at(path))


def _form_at(path: Path) -> str:
    """What a mapping, a list or a required value at the path looks like."""
    model = _model_at(path)
    if model:
        return f"a mapping with keys of {', '.join(_keys_at(model, {}))}"
    parent = _model_at(path[:-1])
    return KEYS[parent][str(path[-1])] if parent else "another value"


def _keys_at(model: type, mapping: dict) -> Iterable[str]:
    """The keys that this mapping of the model may have."""
    return keys_of_check(mapping) if model is Check else KEYS[model]


def _model_of(model: type, mapping: dict) -> type:
    """The model of this mapping where that one has its place."""
    return Several if model is Check and need_of(mapping) else model


def _model_at(path: Path) -> type | None:
    for place, model in PLACES.items():
        if len(place) == len(path) and all(wanted in ("*", step) for wanted, step in zip(place, path, strict=True)):
            return model
    return None


def _smallest_part(error: ErrorDetails) -> Path:
    """The least that must go for the error to go: never one item of a list, and with a missing key its mapping."""
    path = error["loc"][:-1] if error["type"] == "missing" else error["loc"]
    part = tuple(takewhile(lambda step: step != "[key]" and not isinstance(step, int), path))
    several = part[:1] == ("services",) and part[2:3] == ("check",) and part[3:4] in [(need,) for need in NEEDS]
    return part[:3] if several else part
