"""Spoilt frames by the million: `python -m tests.fuzz --help`."""
