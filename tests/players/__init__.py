"""Real web players in a headless browser: what a viewer would see of a tree of streams."""

from tests.players.player import Playback, missing, play

__all__ = ["Playback", "missing", "play"]
