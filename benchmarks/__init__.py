"""Measure Memento beside the tools that people would pick instead; see docs/benchmarks.md."""
