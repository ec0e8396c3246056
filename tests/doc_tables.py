"""Truth tables of docstrings as data, so that what is documented is what is tested."""

from types import ModuleType


def rows_of(module: ModuleType, heading: str) -> list[tuple[str, ...]]:
    """The rows of the table of the module's docstring whose first column has that heading, without the heading."""
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("|")]
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    width = lines[start].count("|")
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[start + 2 :]]
    assert all(len(row) == width - 1 for row in rows)
    return rows
