"""Rules of subtitles beside those of their playlists: when they show, and the files that the MPD names. Pure."""

from __future__ import annotations

from fractions import Fraction

from raven.check.rule import Fault, Faults, must, rules_of
from raven.check.rules_hls_media import start_of
from raven.check.tree import Tree

_SLACK = Fraction(1)
"""s that a cue may lie beside its segment."""


@must("RFC 8216 3.5", "Apple 5.3")
def subtitles_are_on_time(tree: Tree) -> Faults:
    """Of the cues of a WebVTT segment one at least shows in its time, as its X-TIMESTAMP-MAP puts them."""
    main = next((track for track in tree.hls if track.media in ("video", "audio")), None)
    begins = start_of(main) if main else None
    for track in tree.hls if begins is not None else ():
        for timed in track.segments if track.media == "text" else ():
            vtt = tree.texts.get(timed.resource.path)
            start = timed.start + (begins or 0)
            end = start + timed.duration + _SLACK
            if vtt and vtt.mapped and vtt.cues and not any(c.start < end and c.end > start - _SLACK for c in vtt.cues):
                found = f"{len(vtt.cues)} cues from {float(vtt.cues[0].start):.3f} s on"
                yield Fault(timed.where, found, f"in {float(start):.3f} to {float(start + timed.duration):.3f} s")


@must("DASH-IF IOP 6.4.5", "W3C WebVTT 4")
def text_of_the_mpd_is_text(tree: Tree) -> Faults:
    """A file of subtitles that the MPD names is WebVTT with its header and cue times."""
    for track in tree.dash:
        for timed in track.segments if track.media == "text" else ():
            vtt = tree.texts.get(timed.resource.path)
            if vtt and (vtt.faults or not vtt.headed):
                yield Fault(timed.where, vtt.faults[0] if vtt.faults else "no WEBVTT header", "WebVTT")


RULES = rules_of(globals())
