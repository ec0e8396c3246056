"""A YAML text as plain data that still knows its lines.

Read first: YAML 1.2.2, section 10.3 (core schema). Unlike YAML 1.1, `off`, `010`, `1:30` and `2024-01-01` stay
text here, so that no name or word of a configuration turns into something else. JSON is read as it is.
Keys are always text. Merge keys (`<<`) are not a feature of YAML 1.2 and none of this reader.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import yaml

from swlb.errors import ConfigError, Problem

Path = tuple[str | int, ...]

TAG = "tag:yaml.org,2002:"
PLAIN_KEY = re.compile(r"[A-Za-z0-9_.<-]{1,63}")
SHOWN_TEXT_LEN = 60


@dataclass(frozen=True)
class Finding:
    """One thing wrong at a path of the data. The source knows the line."""

    path: Path
    found: str
    expected: str


@dataclass(frozen=True)
class Scalar:
    """One kind of plain value: how it is written, and what it becomes."""

    tag: str
    pattern: re.Pattern[str]
    convert: Callable[[str], object]


SCALARS = (
    Scalar(TAG + "null", re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda text: None),
    Scalar(TAG + "bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text.lower() == "true"),
    # 18 digits fit 64 bits; longer ones become floats, which no key takes, instead of an endless conversion.
    Scalar(TAG + "int", re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z"), int),
    Scalar(TAG + "float", re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?\Z"), float),
)


class _Composer(yaml.SafeLoader):
    """PyYAML up to its tree of nodes, with the scalars of SCALARS only."""

    yaml_implicit_resolvers: ClassVar[dict[str | None, list]] = {}


class _FastComposer(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML was built with it: five times as fast, but it has other words for errors."""

    yaml_implicit_resolvers: ClassVar[dict[str | None, list]] = {}


for _scalar in SCALARS:
    _Composer.add_implicit_resolver(_scalar.tag, _scalar.pattern, None)
    _FastComposer.add_implicit_resolver(_scalar.tag, _scalar.pattern, None)


def show(value: object) -> str:
    """A value as an operator would recognise it, on one line and never long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict) and value and all(type(number) is int for number in value.values()):
        return _cut("{" + ", ".join(f"{key}: {number}" for key, number in value.items()) + "}")
    if isinstance(value, dict | list | tuple):
        return ("a" if value else "an empty") + (" mapping" if isinstance(value, dict) else " list")
    if not isinstance(value, str):
        return str(value)
    shown = _cut(value)
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_TEXT_LEN else text[:SHOWN_TEXT_LEN] + "..."


def counted(count: int, one: str, many: str = "") -> str:
    """1 port, 2 ports."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def path_text(path: Path) -> str:
    """The path as it is written in messages: services.web.vip[1]."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if PLAIN_KEY.fullmatch(step) else show(step))
    return text


@dataclass
class Source:
    """A file's text as data, with the findings of reading it and the line of every path."""

    file: str
    data: object = None
    findings: list[Finding] = field(default_factory=list)
    _root: yaml.Node | None = None
    # By identity of a mapping or sequence: what is in it, with the line of each. The tree below _root keeps it alive.
    _entries: dict[int, dict[str | int, tuple[int, yaml.Node]]] = field(default_factory=dict)
    _built: dict[int, object] = field(default_factory=dict)

    def problem(self, finding: Finding) -> Problem:
        """The finding with its file and line: the line of the path, or of its nearest part that exists."""
        node, line, path = self._root, 1, []
        for step in finding.path:
            entries = self._entries.get(id(node), {})
            if isinstance(step, int) and isinstance(node, yaml.ScalarNode):
                continue  # one value stands where a list may: it is named without an index
            path.append(step)
            line, node = entries.get(step, (line, None))
        return Problem(self.file, line, path_text(tuple(path)), finding.found, finding.expected)

    def _build(self, node: yaml.Node, path: Path) -> object:
        """The node's data. One node stays one object however many aliases name it."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._built:
            return self._built[id(node)]
        expected_tag = TAG + ("map" if isinstance(node, yaml.MappingNode) else "seq")
        if node.tag != expected_tag:
            self._refuse_tag(node, path)
        return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        data: dict[str, object] = {}
        self._built[id(node)] = data
        entries = self._entries.setdefault(id(node), {})
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.findings.append(Finding(path, f"a list or mapping as a key, on line {line}", "a name as the key"))
                continue
            key = key_node.value
            if key in entries:
                found = f"the key twice, on lines {entries[key][0]} and {line}"
                self.findings.append(Finding((*path, key), found, "each key once"))
                continue
            entries[key] = (line, value_node)
            data[key] = self._build(value_node, (*path, key))
        return data

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[object]:
        data: list[object] = []
        self._built[id(node)] = data
        entries = self._entries.setdefault(id(node), {})
        for index, item in enumerate(node.value):
            entries[index] = (item.start_mark.line + 1, item)
            data.append(self._build(item, (*path, index)))
        return data

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        if node.tag == TAG + "str":
            return node.value
        for scalar in SCALARS:
            if scalar.tag == node.tag and scalar.pattern.match(node.value):
                return scalar.convert(node.value)
        self._refuse_tag(node, path)
        return node.value

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        tag = node.tag.replace(TAG, "!!")
        self.findings.append(Finding(path, f"the tag {show(tag)}", "a plain value without a tag"))


def read_yaml(text: str, *, file: str) -> Source:
    """The text as data. Keys that stand twice are findings; a text that is no YAML is a ConfigError."""
    source = Source(file)
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON may be indented with tabs; PyYAML takes none
    try:
        root = _compose(text)
        if root is not None:
            source._root = root
            source.data = source._build(root, ())
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_problem(error, text, file=file)) from None
    except RecursionError:
        problem = Problem(file, 1, "", "lists or mappings inside each other hundreds of times", "a flat file")
        raise ConfigError(problem) from None
    return source


def _compose(text: str) -> yaml.Node | None:
    """The text's tree of nodes. What is wrong with it, if anything, PyYAML says itself."""
    try:
        return yaml.compose(text, Loader=_FastComposer)
    except (yaml.YAMLError, RecursionError):
        return yaml.compose(text, Loader=_Composer)


def _syntax_problem(error: yaml.YAMLError, text: str, *, file: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Problem(file, line, "", f"the character U+{ord(text[error.position]):04X}", "printable text")
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    found = error.problem or error.context or "a text that cannot be read"
    if "'\\t'" in found:
        return Problem(file, line, "", "a tab", "spaces: YAML takes no tabs for indentation")
    return Problem(file, line, "", f"no valid YAML ({found})", "YAML or JSON")
