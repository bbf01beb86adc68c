"""Rules of variants: EXT-X-STREAM-INF against the bytes (RFC 8216 4.3.4.2, Apple chapters 1 and 9). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from raven.check.m3u8 import Tag
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Track, Tree

_TOLERANCE = Fraction(1, 10)
"""Apple 1.26 and 1.27."""
RANGES = {16: "PQ", 18: "HLG"}
"""VIDEO-RANGE by transfer characteristics (ISO/IEC 23091-2)."""


def at(tree: Tree, tag: Tag) -> str:
    return f"{tree.multivariant.path if tree.multivariant else ''} line {tag.line}"


def _with_video(tree: Tree) -> Iterator[tuple[Tag, Track]]:
    """Variants whose own playlist is video."""
    for tag, track in tree.variants:
        if track is not None and track.media == "video":
            yield tag, track


def combination(tree: Tree, tag: Tag, track: Track) -> list[list[Track]]:
    """What plays together with a variant: its own playlist, then the choices of its groups."""
    found = [[track]]
    for kind in ("AUDIO", "VIDEO", "SUBTITLES"):
        name = tag.text(kind)
        choices = (
            [t for t in (tree.track_of(media.text("URI")) for media in tree.group(kind, name)) if t] if name else []
        )
        if choices and track in choices:
            found = [choices]  # the variant's own playlist is one of the choices
        elif choices:
            found.append(choices)
    return found


@must("RFC 8216 4.3.4.2")
def variants_listed(tree: Tree) -> Faults:
    """A multivariant playlist has variants, and the line after each EXT-X-STREAM-INF is its URI."""
    if tree.multivariant and not tree.multivariant.variants:
        yield Fault(tree.multivariant.path, "no EXT-X-STREAM-INF")
    for tag, uri in tree.multivariant.variants if tree.multivariant else ():
        if not uri:
            yield Fault(at(tree, tag), "EXT-X-STREAM-INF without a URI on the next line")


@must("RFC 8216 4.3.4.2", "RFC 8216 4.3.4.3")
def bandwidth_given(tree: Tree) -> Faults:
    """BANDWIDTH is a positive integer on every EXT-X-STREAM-INF and EXT-X-I-FRAME-STREAM-INF."""
    for tag in (*(tag for tag, _ in tree.variants), *tree.iframe_tags):
        if not tag.integer("BANDWIDTH"):
            yield Fault(at(tree, tag), f"BANDWIDTH={tag.attributes.get('BANDWIDTH', 'missing')[:20]}")


@must("Apple 9.14")
def average_bandwidth_given(tree: Tree) -> Faults:
    """AVERAGE-BANDWIDTH is an integer on every EXT-X-STREAM-INF, and not above BANDWIDTH."""
    for tag, _ in tree.variants:
        average, peak = tag.integer("AVERAGE-BANDWIDTH"), tag.integer("BANDWIDTH")
        if average is None:
            yield Fault(at(tree, tag), "no AVERAGE-BANDWIDTH")
        elif peak is not None and average > peak:
            yield Fault(at(tree, tag), f"AVERAGE-BANDWIDTH {average}", f"at most BANDWIDTH, {peak}")


@must("Apple 9.13", "Apple 1.27", "RFC 8216 4.3.4.2")
def bandwidth_is_peak(tree: Tree) -> Faults:
    """BANDWIDTH is the largest sum of measured peak bit rates of any playable combination, within 10 %."""
    for tag, track in tree.variants:
        declared = tag.integer("BANDWIDTH")
        if track and declared and all(s.segment for s in track.segments):
            measured = sum((max(t.peak for t in choices) for choices in combination(tree, tag, track)), Fraction(0))
            if abs(measured - declared) > _TOLERANCE * declared:
                yield Fault(at(tree, tag), f"BANDWIDTH {declared}", f"{round(measured)} as measured, within 10 %")


@must("Apple 1.26")
def average_bandwidth_is_average(tree: Tree) -> Faults:
    """The measured average bit rate of a playable combination is within 10 % of AVERAGE-BANDWIDTH."""
    for tag, track in tree.variants:
        declared = tag.integer("AVERAGE-BANDWIDTH")
        if track and declared and all(s.segment for s in track.segments):
            rows = combination(tree, tag, track)
            least, most = (sum((pick(t.average for t in row) for row in rows), Fraction(0)) for pick in (min, max))
            if most < declared * (1 - _TOLERANCE) or least > declared * (1 + _TOLERANCE):
                yield Fault(at(tree, tag), f"AVERAGE-BANDWIDTH {declared}", f"{round(most)} as measured, within 10 %")


@should("Apple 1.30")
def peak_is_near_average(tree: Tree) -> Faults:
    """The peak bit rate of a variant is at most twice its average."""
    for tag, track in tree.variants:
        if track and track.average and track.peak > 2 * track.average:
            yield Fault(at(tree, tag), f"peak {round(track.peak)}, average {round(track.average)}", "at most twice")


@must("Apple 9.1")
def codecs_given(tree: Tree) -> Faults:
    """Every EXT-X-STREAM-INF has CODECS."""
    for tag, _ in tree.variants:
        if not tag.codecs:
            yield Fault(at(tree, tag), "no CODECS")


@must("RFC 8216 4.3.4.2")
def codecs_cover_media(tree: Tree) -> Faults:
    """CODECS has the codec of every rendition that plays with the variant, as its init segment says."""
    for tag, track in tree.variants:
        if not track or not tag.codecs:
            continue
        declared = {c.lower() for c in tag.codecs}
        rows = combination(tree, tag, track)
        for part in dict.fromkeys(t for row in rows for t in row):
            sounds = part.init and part.init.configured and part.media != "text"  # Apple 5.10 makes text a should
            real = part.init.codec.text if part.init and sounds else ""
            if real and not any(same_codec(real, c) for c in declared):
                yield Fault(at(tree, tag), f"CODECS {','.join(tag.codecs)}", f"{real} of {part.where} among them")


def same_codec(real: str, declared: str) -> bool:
    """Whether two codecs values say the same: letter case aside, and the optional fields of AV1."""
    real, declared = real.lower(), declared.lower()
    return real == declared or (real.startswith("av01") and declared.startswith(real + "."))


@should("RFC 8216 4.3.4.2", "RFC 6381 3.3")
def codecs_name_nothing_else(tree: Tree) -> Faults:
    """CODECS has no format that is in none of the variant's renditions."""
    for tag, track in tree.variants:
        rows = combination(tree, tag, track) if track else []
        parts = [t for row in rows for t in row if t.media != "text"]
        if any(t.init is None for t in parts) or not parts:
            continue  # transport streams and packed audio name no codec that is read here
        real = {t.init.codec.text for t in parts if t.init} | {"wvtt" if tag.text("SUBTITLES") else ""}
        for codec in tag.codecs:
            if codec.startswith("stpp") and tag.text("SUBTITLES"):
                continue
            if not any(same_codec(r, codec) for r in real):
                yield Fault(
                    at(tree, tag), f"CODECS has {codec}", f"only what is there: {', '.join(sorted(filter(None, real)))}"
                )


@must("Apple 9.2")
def resolution_given(tree: Tree) -> Faults:
    """Every variant with video has RESOLUTION."""
    for tag, _ in _with_video(tree):
        if tag.size() is None:
            yield Fault(at(tree, tag), f"RESOLUTION={tag.attributes.get('RESOLUTION', 'missing')[:20]}")


@should("RFC 8216 4.3.4.2")
def resolution_is_true(tree: Tree) -> Faults:
    """RESOLUTION is the size of the picture in the init segment."""
    for tag, track in _with_video(tree):
        declared, init = tag.size(), track.init
        if declared and init and init.width and init.shape in (None, (1, 1)) and declared != (init.width, init.height):
            yield Fault(at(tree, tag), "RESOLUTION {}x{}".format(*declared), f"{init.width}x{init.height}")


@must("Apple 9.15")
def frame_rate_given(tree: Tree) -> Faults:
    """Every variant with video has FRAME-RATE."""
    for tag, _ in _with_video(tree):
        if not tag.number("FRAME-RATE"):
            yield Fault(at(tree, tag), f"FRAME-RATE={tag.attributes.get('FRAME-RATE', 'missing')[:20]}")


@must("RFC 8216 4.3.4.2")
def frame_rate_is_true(tree: Tree) -> Faults:
    """FRAME-RATE is the rate of the samples, rounded to three decimals."""
    for tag, track in _with_video(tree):
        declared, real = tag.number("FRAME-RATE"), track.frame_rate
        if declared and real and abs(declared - real) > Fraction(1, 1000) + real / 10_000:
            yield Fault(at(tree, tag), f"FRAME-RATE {float(declared):.3f}", f"{float(real):.3f}")


@must("Apple 9.16")
def video_range_given(tree: Tree) -> Faults:
    """VIDEO-RANGE stands on every variant with video, unless all are SDR."""
    ranges = {range_of(track) for _, track in _with_video(tree)}
    if ranges - {"SDR"}:
        for tag, _ in _with_video(tree):
            if tag.text("VIDEO-RANGE") is None:
                yield Fault(at(tree, tag), "no VIDEO-RANGE")


def range_of(track: Track) -> str:
    """SDR, HLG or PQ, by the colr box."""
    colour = track.init.colour if track.init else None
    return RANGES.get(colour[1], "SDR") if colour else "SDR"


@must("Apple 9.16", "RFC 8216bis 4.4.6.2")
def video_range_is_true(tree: Tree) -> Faults:
    """VIDEO-RANGE is SDR, HLG or PQ as the transfer characteristics of the init segment say."""
    for tag, track in _with_video(tree):
        declared = tag.text("VIDEO-RANGE")
        colour = track.init.colour if track.init else None
        if declared is not None and declared not in ("SDR", "HLG", "PQ"):
            yield Fault(at(tree, tag), f"VIDEO-RANGE={declared[:20]}", "SDR, HLG or PQ")
        elif declared is not None and colour and declared != range_of(track):
            yield Fault(at(tree, tag), f"VIDEO-RANGE={declared}", f"{range_of(track)}, transfer {colour[1]}")


RULES = rules_of(globals())
