"""Benchmarks: how fast `dnswatch scan` is beside other tools, on data that anyone can generate. See README.md."""
