"""`python -m swlb` is `swlb`."""

from swlb.cli import main

main()
