"""Rules of the MPD about what its sets show: colours, ends, alignment, tiles (ISO/IEC 23009-1, DASH-IF). Pure."""

from __future__ import annotations

import re
from fractions import Fraction

from raven.check.rule import Fault, Faults, must, rules_of
from raven.check.rules_dash import mpds
from raven.check.tree import Track, Tree

_CICP = "urn:mpeg:mpegB:cicp:"
_COLOURS = ("ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients")
_NUMBER, _RATIO = re.compile("[0-9]+"), re.compile("[0-9]+:[0-9]+")
_TRUE = re.compile("true|false|0|1")
_DATE = re.compile(r"-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_TYPES = {
    **dict.fromkeys(("width", "height", "bandwidth", "selectionPriority"), _NUMBER),
    **dict.fromkeys(("publishTime", "availabilityStartTime", "availabilityEndTime"), _DATE),
    **dict.fromkeys(("sar", "par"), _RATIO),
    "segmentAlignment": re.compile("true|false|[0-9]+"),
    "startWithSAP": re.compile("[0-6]"),
    "frameRate": re.compile("[0-9]+(/[1-9][0-9]*)?"),
    "audioSamplingRate": re.compile("[0-9]+( [0-9]+)?"),
    "maxPlayoutRate": re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?"),
    "codingDependency": _TRUE,
    "scanType": re.compile("progressive|interlaced|unknown"),
}
"""Of attributes, as the schema of the standard has them."""
_UNKNOWN = Fraction(1, 20)
"""A sample, s, where none could be read."""


@must("ISO/IEC 23009-1 5.3.1.2")
def static_mpd_is_not_renewed(tree: Tree) -> Faults:
    """A static MPD has no @minimumUpdatePeriod."""
    for found in mpds(tree):
        if found.attributes.get("type", "static") == "static" and "minimumUpdatePeriod" in found.attributes:
            yield Fault(found.path, f"@minimumUpdatePeriod {found.attributes['minimumUpdatePeriod'][:20]}", "none")


@must("ISO/IEC 23009-1 5.3.1.3", "ISO/IEC 23009-1 5.3.5.3", "ISO/IEC 23009-1 5.3.7.3")
def mpd_attributes_are_of_their_type(tree: Tree) -> Faults:
    """Numbers, ratios, dates and truth values in the MPD are such."""
    for found in mpds(tree):
        rows = [(found.path, found.attributes), *((s.where, s.attributes) for s in found.sets)]
        for where, attributes in (*rows, *((r.where, r.attributes) for r in found.representations)):
            for name in sorted(_TYPES.keys() & attributes.keys()):
                if not _TYPES[name].fullmatch(attributes[name]):
                    yield Fault(where, f"@{name} {attributes[name][:30]}")


@must("ISO/IEC 23009-1 5.8.5", "ISO/IEC 23091-2")
def mpd_colour_is_true(tree: Tree) -> Faults:
    """Properties that tell primaries, transfer and matrix have those of the init segment."""
    for track in tree.dash:
        colour = track.init.colour if track.init and track.init.handler == "vide" else None
        for d in track.representation.descriptors if track.representation and colour else ():
            name = d.scheme.removeprefix(_CICP)
            if d.scheme.startswith(_CICP) and name in _COLOURS and colour:
                real = colour[_COLOURS.index(name)]
                if d.value != str(real):
                    yield Fault(track.where, f"{name} {d.value[:20]}", str(real))


@must("DASH-IF timing 4.2", "ISO/IEC 23009-1 5.3.1.2")
def presentation_ends_with_its_media(tree: Tree) -> Faults:
    """The last Period ends where its video or its sound does, to a frame or packet."""
    last = tree.mpd.periods[-1] if tree.mpd and tree.mpd.periods else None
    tracks = [t for p, t in tree.dash_rows if p is last and t.media in ("video", "audio") and t.segments]
    ends = [(t.segments[-1].start + t.segments[-1].duration, _sample(t)) for t in tracks]
    if last and last.duration and ends:
        stop = last.start + last.duration
        least, most = min(end - sample for end, sample in ends), max(end + sample for end, sample in ends)
        if not least <= stop <= most:
            wanted = f"{float(min(end for end, _ in ends)):.6f} to {float(max(end for end, _ in ends)):.6f} s"
            yield Fault(last.where, f"ends at {float(stop):.6f} s", wanted)


def _sample(track: Track) -> Fraction:
    """The sample that is shown last, s."""
    for init, _, segment in reversed(track.pairs):
        return Fraction(max(segment.fragments[-1].final, segment.fragments[-1].shortest), init.timescale)
    return _UNKNOWN


@must("ISO/IEC 23009-1 5.3.3.2", "DASH-IF IOP 3.2.2")
def aligned_sets_are_aligned(tree: Tree) -> Faults:
    """With @segmentAlignment the segments of all Representations of a set begin at the same times, to a sample."""
    for group in tree.mpd.sets if tree.mpd else ():
        first, *others = tree.in_set(group) or (None,)
        if first is None or group.attributes.get("segmentAlignment", "false") != "true":
            continue
        for track in others:
            slack = max(_sample(first), _sample(track))
            pairs = list(zip(first.segments, track.segments, strict=False))
            off = next((b for a, b in pairs if abs(a.start - b.start) > slack), None)
            if off or len(first.segments) != len(track.segments):
                where = off.where if off else track.where
                yield Fault(where, f"{len(track.segments)} segments, other borders", f"those of {first.where}")


@must("DASH-IF IOP 6.2.6")
def tiles_are_pictures(tree: Tree) -> Faults:
    """The files of a set of images are JPEG or PNG, of the @width and @height that the MPD says."""
    for track in tree.dash:
        r = track.representation
        for timed in track.segments if r and track.media == "image" else ():
            segment, wanted = timed.segment, (r.integer("width"), r.integer("height")) if r else (None, None)
            if segment and segment.container != "image":
                yield Fault(timed.where, "neither JPEG nor PNG")
            elif segment and segment.size and None not in wanted and segment.size != wanted:
                yield Fault(timed.where, "{}x{}".format(*segment.size), "{}x{}".format(*wanted))


RULES = rules_of(globals())
