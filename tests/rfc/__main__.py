"""Prints README.md."""

from .table import table

print(table(), end="")
