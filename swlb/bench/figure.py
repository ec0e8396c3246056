"""What is measured, and one measurement of it. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of a table, or a cell of one when it has a row and a column: those of one title are a table together.

    `compared` figures have a ratio worth showing; `own` ones are of swlb itself; those `on_request` are measured only
    when they are asked for.
    """

    key: str
    title: str
    unit: str
    higher_is_better: bool = True
    compared: bool = True
    own: bool = False
    on_request: bool = False
    row: str = ""
    column: str = ""


@dataclass(frozen=True)
class Reading:
    """One value for each figure, None where there is nothing to measure, and what else a reader should know."""

    values: tuple[float | None, ...]
    remark: str = ""
