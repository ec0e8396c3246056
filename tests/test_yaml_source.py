"""YAML as data with lines."""

import gc
import time

import pytest
import yaml

from swlb.config.source import Finding, Path, read_yaml, show
from swlb.errors import ConfigError


def data(text: str) -> object:
    return read_yaml(text, file="f.yaml").data


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, file="f.yaml")
    return str(caught.value)


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "010", "1:30", "2024-01-01", "1_000", "0x10", ".inf", "<<"])
def test_words_that_yaml_1_1_would_change_stay_text(word: str) -> None:
    assert data(f"a: {word}") == {"a": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7), ("-1", -1), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("null", None), ("", None), ("'7'", "7"),
        ("!!str 7", "7"),
    ],
)
def test_plain_values_have_their_type(text: str, value: object) -> None:
    assert data(f"a: {text}") == {"a": value}


def test_keys_are_always_text() -> None:
    assert data("{1: a, true: b, null: c}") == {"1": "a", "true": "b", "null": "c"}


def test_json_is_read_with_tabs_as_indentation() -> None:
    assert data('{\n\t"a": {"b":[1,\t"x/y"]},\n\t"c": "\\u0041\\/"\n}') == {"a": {"b": [1, "x/y"]}, "c": "A/"}


def test_an_alias_stands_for_its_value() -> None:
    assert data("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}


TEXT = "a:\n  b: 1\n  c:\n    - x\n    - {d: 1,\n       e: 2}\nf: word\n"


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        ((), 1, ""),
        (("a",), 1, "a"),
        (("a", "b"), 2, "a.b"),
        (("a", "c", 1), 5, "a.c[1]"),
        (("a", "c", 1, "e"), 6, "a.c[1].e"),
        (("a", "missing"), 1, "a.missing"),
        (("a", "c", 1, "missing", "too"), 5, "a.c[1].missing.too"),
        (("f", 0), 7, "f"),
        (("a", "no name"), 1, 'a."no name"'),
    ],
)
def test_a_path_has_the_line_of_its_nearest_part(path: Path, line: int, text: str) -> None:
    problem = read_yaml(TEXT, file="f.yaml").problem(Finding(path, "x", "y"))
    assert (problem.line, problem.path) == (line, text)


def test_a_key_twice_is_found_with_both_lines() -> None:
    source = read_yaml("a:\n  b: 1\n  b: 2\n", file="f.yaml")
    assert source.findings == [Finding(("a", "b"), "the key twice, on lines 2 and 3", "each key once")]


def test_the_first_of_a_key_twice_is_kept() -> None:
    assert data("a: 1\na: 2") == {"a": 1}


@pytest.mark.parametrize("text", ["a: !!int x", "a: !!python/object:os.system x", "a: !mine [1]", "a: !!set {x}"])
def test_a_tag_is_found(text: str) -> None:
    (finding,) = read_yaml(text, file="f.yaml").findings
    assert finding.path == ("a",)
    assert finding.found.startswith('the tag "!')


def test_a_list_as_key_is_found() -> None:
    (finding,) = read_yaml("? [a]\n: b\n", file="f.yaml").findings
    assert finding.expected == "a name as the key"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: c: d", 2), ("a:\n\tb: 1", 2), ("a: 1\nb: \x07", 2), ("a: 1\n---\nb: 1", 2), ("a: 1\nb: *x", 2),
        ("a: {b", 1),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    assert refusal(text).startswith(f"f.yaml:{line}: found ")


def test_a_tab_is_called_a_tab() -> None:
    assert refusal("a:\n\tb: 1") == "f.yaml:2: found a tab; expected spaces: YAML takes no tabs for indentation"


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000])
def test_endless_nesting_is_refused(text: str) -> None:
    assert "inside each other" in refusal(text)


def test_an_alias_of_itself_is_data_that_contains_itself() -> None:
    value = data("a: &x {b: *x}")
    assert isinstance(value, dict)
    assert value["a"]["b"] is value["a"]


def test_many_aliases_of_aliases_take_no_space() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 100))]
    assert isinstance(data("\n".join(lines)), dict)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'), (3, "3"), (True, "true"), (None, "nothing"), ({}, "an empty mapping"), ([1], "a list"),
        ("Büro", '"Büro"'), ("a\nb", '"a\\nb"'), ("x" * 99, '"' + "x" * 60 + '..."'),
    ],
)
def test_values_are_shown_as_an_operator_knows_them(value: object, text: str) -> None:
    assert show(value) == text


def seconds_for(read) -> float:
    gc.collect()
    start = time.perf_counter()
    read()
    return time.perf_counter() - start


def test_a_large_file_is_read_by_libyaml() -> None:
    text = "".join(f"s{n}: {{address: 10.0.{n // 250}.{n % 250}, port: 8080}}\n" for n in range(2000))
    slow = seconds_for(lambda: yaml.compose(text, Loader=yaml.SafeLoader))
    assert seconds_for(lambda: data(text)) < slow / 2
