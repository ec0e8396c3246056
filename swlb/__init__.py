"""swlb: a load balancer that is a switch."""

__version__ = "0.1.0"
