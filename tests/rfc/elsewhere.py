"""Rules that scenarios say already: RFC, section, the rule, and the test."""

RULES: list[tuple[int, str, str, str]] = []
