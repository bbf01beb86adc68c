"""Raven's tests."""
