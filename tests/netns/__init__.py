"""Tests against a real kernel: devices, and a running swlb between hosts that are network namespaces. Need root."""
