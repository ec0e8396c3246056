"""swlb beside the load balancers a user would pick instead, in one interleaved run (`python -m tests.bench`)."""
