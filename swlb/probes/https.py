"""HTTP within TLS: the same probe, which sees from the check's type that it is."""

from swlb.probes.http import http

https = http
