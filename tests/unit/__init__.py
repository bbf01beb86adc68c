"""Tests of the pure core: values in, values out; no server, no network."""
