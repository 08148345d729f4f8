"""Comparisons with peers; `python -m benchmarks.NAME` ends with one line of JSON."""
