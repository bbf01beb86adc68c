"""Rules of what a codec may do where: containers, levels, rates, brands, encryption (Apple, CMAF annex A). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from raven.check.isobmff import Init
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import at, combination
from raven.check.tree import Track, Tree

_FMP4_ONLY = ("hvc1", "hev1", "dvh1", "dvhe", "av01", "mp4a.40.42", "alac", "fLaC")
_NATURAL = (
    *(Fraction(n, 1001) for n in (24_000, 30_000, 60_000)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60)),
)
_LEVELS = {
    9: (99, 1485), 10: (99, 1485), 11: (396, 3000), 12: (396, 6000), 13: (396, 11_880), 20: (396, 11_880),
    21: (792, 19_800), 22: (1620, 20_250), 30: (1620, 40_500), 31: (3600, 108_000), 32: (5120, 216_000),
    40: (8192, 245_760), 42: (8704, 522_240), 50: (22_080, 589_824), 51: (36_864, 983_040), 52: (36_864, 2_073_600),
}  # fmt: skip
"""Macroblocks of a frame and of a second by H.264 level_idc (ITU-T H.264 table A-1)."""
_UHD_HEIGHT = 1440
_UHD_RATE = 15_000_000
_CELLULAR = 192_000
_AVC_BRANDS = {"cfsd": (31, 864, 576), "cfhd": (40, 1920, 1080), "chdf": (42, 1920, 1080)}
"""Level, width and height at most by CMAF media profile (ISO/IEC 23000-19 A.2)."""


def _video(tree: Tree) -> Iterator[tuple[Track, Init]]:
    for track in tree.hls:
        if track.media == "video" and track.init:
            yield track, track.init


@must("Apple 1.5", "Apple 2.25")
def codec_fits_container(tree: Tree) -> Faults:
    """HEVC, AV1, xHE-AAC, ALAC and FLAC are in fragmented MP4, not in a transport stream."""
    for tag, track in tree.variants:
        bound = [codec for codec in tag.codecs if codec.startswith(_FMP4_ONLY)]
        parts = [t for row in combination(tree, tag, track) for t in row] if track else []
        if bound and parts and all(s.segment and s.segment.container == "ts" for t in parts for s in t.segments):
            yield Fault(at(tree, tag), f"{', '.join(bound)} in a transport stream", "fragmented MP4")


@should("Apple 1.18", choice=True)
def frame_rate_is_natural(tree: Tree) -> Faults:
    """The frame rate is one of 23.976, 24, 25, 29.97, 30, 50, 59.94 and 60."""
    for track, _ in _video(tree):
        rate = track.frame_rate
        if rate and not any(abs(rate - natural) < natural / 2000 for natural in _NATURAL):
            yield Fault(track.where, f"{float(rate):.3f} frames/s", "a rate that players know")


@should("Apple 1.11")
def h264_level_is_needed(tree: Tree) -> Faults:
    """The level of H.264 is not above what size and frame rate need, but for one step of reference frames."""
    for track, init in _video(tree):
        rate, level = track.frame_rate, init.codec.level
        if init.entry not in ("avc1", "avc3") or rate is None or level not in _LEVELS:
            continue
        blocks = -(-init.width // 16) * -(-init.height // 16)
        enough = [lv for lv, (size, speed) in _LEVELS.items() if blocks <= size and blocks * rate <= speed]
        allowed = enough[:3]  # a step in frames held, one in bit rate: a level is chosen by those too
        if enough and level > allowed[-1]:
            yield Fault(track.where, f"level {level / 10}", f"{enough[0] / 10} for {init.width}x{init.height}")


@should("Apple 1.34", choice=True)
def uhd_within_15_megabits(tree: Tree) -> Faults:
    """Where there is UHD video, some of it is at most 15 Mbit/s."""
    rates = [t.average for t, init in _video(tree) if min(init.width, init.height) > _UHD_HEIGHT]
    if rates and min(rates) > _UHD_RATE:
        yield Fault(tree.name, f"UHD from {round(min(rates) / 1_000_000)} Mbit/s on", "15 or less")


@should("Apple 9.21", choice=True)
def cellular_variant_offered(tree: Tree) -> Faults:
    """For cellular networks there is a variant of at most 192 kbit/s. (Apple: a must there.)"""
    rates = [rate for tag, _ in tree.variants if (rate := tag.integer("BANDWIDTH"))]
    if rates and min(rates) > _CELLULAR and tree.multivariant:
        yield Fault(tree.multivariant.path, f"the lowest BANDWIDTH is {min(rates)}", "192000 or less")


@should("Apple 9.20")
def no_variant_without_video(tree: Tree) -> Faults:
    """Beside variants with video there is none with sound alone. (Apple: a must for tvOS.)"""
    kinds = [(tag, track.media) for tag, track in tree.variants if track]
    if any(media == "video" for _, media in kinds):
        for tag, media in kinds:
            if media == "audio":
                yield Fault(at(tree, tag), "a variant of sound alone")


@must("Apple 9.7", "Apple 9.6")
def alternative_audio_is_separate(tree: Tree) -> Faults:
    """Where sound comes in several languages or versions, each has a playlist of its own."""
    for name in dict.fromkeys(tag.text("GROUP-ID") for tag in tree.renditions if tag.text("TYPE") == "AUDIO"):
        members = tree.group("AUDIO", name)
        for tag in members if len(members) > 1 else ():
            if not tag.text("URI"):
                yield Fault(at(tree, tag), "one of several renditions of sound, without a URI")


@must("Apple 2.11")
def channels_change_at_discontinuities(tree: Tree) -> Faults:
    """The number of channels changes at a discontinuity only."""
    for track in tree.hls:
        last: Init | None = None
        for timed in track.segments if track.media == "audio" else ():
            if last and timed.init and timed.init.channels != last.channels and not timed.fresh:
                yield Fault(timed.where, f"{timed.init.channels} channels after {last.channels}", "a discontinuity")
            last = timed.init or last


@must("CMAF A.2", "CMAF A.3")
def brand_fits_media(tree: Tree) -> Faults:
    """A brand of a CMAF media profile (cfsd, cfhd, chdf, caac) fits codec, level and size."""
    paths = {id(init): str(resource) for resource, init in tree.inits.items()}
    for init in tree.inits.values():
        for brand, (level, width, height) in _AVC_BRANDS.items():
            fits = init.entry in ("avc1", "avc3") and init.codec.level <= level
            if brand in init.brands and not (fits and init.width <= width and init.height <= height):
                found = f"{brand} with {init.codec.text}, {init.width}x{init.height}"
                yield Fault(f"{paths[id(init)]} ftyp", found, f"H.264 to level {level / 10}, {width}x{height}")
        if "caac" in init.brands and (not init.codec.text.startswith("mp4a.40.") or init.channels > 2):
            yield Fault(f"{paths[id(init)]} ftyp", f"caac with {init.codec.text}, {init.channels} channels", "AAC, 2")


@must("Apple 13.7", "CTA-5005 4.3.2")
def encryption_pattern_fits(tree: Tree) -> Faults:
    """Common Encryption is cbcs, of video with the pattern 1:9, of sound in whole (10:0 or none)."""
    for resource, init in tree.inits.items():
        if init.scheme and init.scheme != "cbcs":
            yield Fault(f"{resource} schm", init.scheme, "cbcs")
        elif init.handler == "vide" and init.pattern and init.pattern != (1, 9):
            yield Fault(f"{resource} tenc", "pattern {}:{}".format(*init.pattern), "1:9")
        elif init.handler == "soun" and init.pattern and init.pattern not in ((10, 0), (0, 0)):
            yield Fault(f"{resource} tenc", "pattern {}:{}".format(*init.pattern), "10:0")


@must("RFC 8216 4.3.4.4")
def session_data_is_sound(tree: Tree) -> Faults:
    """EXT-X-SESSION-DATA has a DATA-ID, and either VALUE or URI."""
    for tag in tree.multivariant.all("EXT-X-SESSION-DATA") if tree.multivariant else ():
        if not tag.text("DATA-ID") or ("VALUE" in tag.attributes) == ("URI" in tag.attributes):
            yield Fault(at(tree, tag), "EXT-X-SESSION-DATA", "DATA-ID and one of VALUE and URI")


@must("RFC 8216 4.3.4.5")
def session_key_is_a_key(tree: Tree) -> Faults:
    """EXT-X-SESSION-KEY has a METHOD other than NONE, and a URI."""
    for tag in tree.multivariant.all("EXT-X-SESSION-KEY") if tree.multivariant else ():
        if tag.text("METHOD") in (None, "NONE") or not tag.text("URI"):
            yield Fault(at(tree, tag), f"METHOD={tag.text('METHOD')}", "a key with a URI")


RULES = rules_of(globals())
