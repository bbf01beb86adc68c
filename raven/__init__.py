"""Raven, a distributed video encoder: the library that the watcher, the master and the workers share."""

__version__ = "0.1.0"
