"""Deliberate defects, one for each test of a proven trap, which must then fail: `python -m tests.mutants`."""
