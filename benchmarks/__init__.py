"""Benchmarks: figures that are reported, never judged. `make bench` runs them, docs/benchmarks.md keeps them."""
