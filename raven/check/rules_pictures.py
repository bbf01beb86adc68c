"""Rules of what the pictures are: containers, HDR, scan, captions in them (Apple chapters 1 and 4). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from raven.check.isobmff import Init
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import RANGES, at
from raven.check.tree import Track, Tree

_BT2020 = 9
"""Colour primaries (ISO/IEC 23091-2)."""
_PQ = 16
_DOLBY = ("dvh1", "dvhe", "dav1")
_LOW_HEIGHT, _LOW_RATE = 432, Fraction(3003, 100)
"""The rungs that Apple's ladder has at 30 frames/s at most."""
_STATIC = {"mdcv": "mastering display", "clli": "content light levels"}


def _video(tree: Tree) -> Iterator[tuple[Track, Init]]:
    for track in tree.hls:
        if track.media == "video" and track.init:
            yield track, track.init


def _told(track: Track) -> set[str]:
    """What the messages of the first pictures of its fragments carry."""
    return {name for _, _, segment in track.pairs for f in segment.fragments for name in f.front.told}


@must("Apple 1.2")
def h264_is_in_mp4_or_ts(tree: Tree) -> Faults:
    """H.264 is in fragmented MP4 or in a transport stream."""
    for tag, track in tree.variants:
        if track and track.media == "video" and any(c.startswith("avc") for c in tag.codecs):
            for timed in track.segments:
                if timed.segment and timed.segment.container not in ("mp4", "ts", "encrypted"):
                    yield Fault(timed.where, f"a segment of {timed.segment.container}", "fragmented MP4 or MPEG-TS")


@must("Apple 1.7", choice=True)
def hdr_is_known(tree: Tree) -> Faults:
    """HDR is HDR10, HLG or Dolby Vision: PQ or HLG with the primaries of BT.2020 and 10 bits."""
    for track, init in _video(tree):
        if init.colour and init.colour[1] in RANGES and init.entry not in _DOLBY:
            primaries, transfer, _ = init.colour
            if primaries != _BT2020 or init.codec.bits != 10:
                found = f"{RANGES[transfer]} with primaries {primaries} and {init.codec.bits} bits"
                yield Fault(track.where, found, f"primaries {_BT2020} (BT.2020) and 10 bits")


@must("AV1 in ISOBMFF 5")
def av1_codecs_tell_the_colour(tree: Tree) -> Faults:
    """The codecs value of AV1 has the colours of the init segment; left out, they are those of BT.709."""
    told = [(at(tree, tag), track, tag.codecs) for tag, track in tree.variants if track]
    told += [(t.where, t, t.representation.codecs) for t in tree.dash if t.representation]
    for where, track, codecs in told:
        colour = track.init.colour if track.init and track.init.entry == "av01" else None
        for codec in codecs if colour else ():
            fields = codec.split(".")[6:9] or ["01", "01", "01"]
            if codec.startswith("av01") and colour and (colour[1] in RANGES or codec.count(".") > 3):
                wanted = [f"{number:02d}" for number in colour]
                if fields != wanted:
                    yield Fault(where, codec, f"colours {'.'.join(wanted)}")


@must("Apple 1.14")
def video_is_progressive(tree: Tree) -> Faults:
    """Video is deinterlaced: H.264 of frames alone, HEVC that does not call its source interlaced."""
    for track, init in _video(tree):
        if init.codec.fields:
            yield Fault(track.where, f"{init.codec.text} coded as interlaced", "progressive frames")


@should("Apple 1.25", choice=True)
def low_rungs_are_slow(tree: Tree) -> Faults:
    """Video of 432 lines and less has at most 30 frames/s."""
    for track, init in _video(tree):
        rate = track.frame_rate
        if rate and 0 < min(init.width, init.height) <= _LOW_HEIGHT and rate > _LOW_RATE:
            yield Fault(track.where, f"{init.width}x{init.height} at {float(rate):.3f} frames/s", "at most 30")


@should("Apple 1.35")
def hdr10_is_described(tree: Tree) -> Faults:
    """HDR10 has mastering display and content light levels, in its boxes or in SEI messages."""
    for track, init in _video(tree):
        if init.colour and init.colour[1] == _PQ and init.entry not in _DOLBY:
            told = init.told | _told(track)
            missing = [text for name, text in _STATIC.items() if name not in told]
            if missing:
                yield Fault(track.where, f"PQ without {' and '.join(missing)}")


@must("Apple 4.4", choice=True)
def captions_are_declared(tree: Tree) -> Faults:
    """Closed captions that the first pictures of fragments carry are declared by EXT-X-MEDIA."""
    declared = any(tag.text("TYPE") == "CLOSED-CAPTIONS" for tag in tree.renditions)
    for tag, track in tree.variants if not declared else ():
        if track and track.media == "video" and "captions" in _told(track):
            yield Fault(at(tree, tag), f"closed captions in {track.where}", "an EXT-X-MEDIA of TYPE=CLOSED-CAPTIONS")


RULES = rules_of(globals())
