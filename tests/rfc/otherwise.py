"""Rules that swlb deliberately does not follow, or that it need not: RFC, section, the rule, and why."""

RULES: list[tuple[int, str, str, str]] = []
