"""Faults: after each of them the outputs are the same bytes, and nothing is left over."""
