"""Conformance suites: what every store and every executor must do, as tests to subclass.

Knows: the protocols. May not know: any implementation.
"""
