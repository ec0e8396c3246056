"""swlb beside the load balancers a user would pick instead, in one interleaved run (`swlb bench`).

Read first: tests/bench/README.md. Nothing here is imported by a swlb that forwards frames.
"""
