"""Rules of what a multivariant playlist has on offer: rungs, codecs, channels (Apple chapters 1, 2, 9). Pure."""

from __future__ import annotations

from collections import Counter

from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import at, range_of
from raven.check.tree import Tree

_STEREO = ("mp4a.40.2", "mp4a.40.5", "mp4a.40.29")


@must("Apple 2.3", choice=True)
def stereo_aac_offered(tree: Tree) -> Faults:
    """Where there is sound, there is stereo AAC."""
    found = [t for t in tree.hls if t.media == "audio" and t.init]
    plain = [t for t in found if t.init and t.init.codec.text in _STEREO and t.init.channels <= 2]
    if found and not plain and tree.multivariant:
        yield Fault(tree.multivariant.path, "no audio rendition in AAC with one or two channels")


@should("Apple 2.6", choice=True)
def dolby_digital_beside_plus(tree: Tree) -> Faults:
    """Where there is E-AC-3, there is AC-3 too."""
    codecs = {t.init.codec.text for t in tree.hls if t.media == "audio" and t.init}
    if "ec-3" in codecs and "ac-3" not in codecs and tree.multivariant:
        yield Fault(tree.multivariant.path, "ec-3 without ac-3")


@should("Apple 2.4", choice=True)
def he_aac_is_low(tree: Tree) -> Faults:
    """HE-AAC is not used above 64 kbit/s."""
    for track in tree.hls:
        if track.media == "audio" and track.init and track.init.codec.text in _STEREO[1:] and track.average > 64_000:
            yield Fault(track.where, f"{track.init.codec.text} at {round(track.average / 1000)} kbit/s", "AAC-LC")


@should("Apple 2.26", choice=True)
def multichannel_aac_offered(tree: Tree) -> Faults:
    """Where there is multichannel sound that is not Dolby's, there is multichannel AAC."""
    many = {t.init.codec.text for t in tree.hls if t.media == "audio" and t.init and t.init.channels > 2}
    other = {c for c in many if c not in ("ac-3", "ec-3") and not c.startswith("mp4a")}
    if other and not any(c.startswith("mp4a.40") for c in many) and tree.multivariant:
        yield Fault(tree.multivariant.path, f"multichannel {', '.join(sorted(other))} alone")


@should("Apple 9.5")
def audio_is_separate(tree: Tree) -> Faults:
    """Sound has playlists of its own, apart from the picture's."""
    for tag, track in tree.variants:
        mixed = track and track.media == "video" and track.init and track.init.tracks > 1
        sounds = [c for c in tag.codecs if c.startswith(("mp4a", "ac-3", "ec-3", "opus", "Opus", "fLaC"))]
        if mixed or (track and track.media == "video" and sounds and not tag.text("AUDIO")):
            yield Fault(at(tree, tag), "sound and picture in one playlist")


@must("Apple 9.9", choice=True)
def several_bit_rates(tree: Tree) -> Faults:
    """Video comes in several variants."""
    tracks = {track.where for _, track in tree.variants if track and track.media == "video"}
    if len(tracks) == 1 and tree.multivariant:
        yield Fault(tree.multivariant.path, "one variant of video")


@should("Apple 9.10", choice=True)
def two_at_the_top(tree: Tree) -> Faults:
    """HD content has two variants at the highest resolution."""
    sizes = {track.where: tag.size() for tag, track in tree.variants if track and track.media == "video"}
    counted = Counter(size for size in sizes.values() if size)
    top = max(counted, key=lambda size: size[0] * size[1], default=(0, 0))
    if top[0] * top[1] >= 1280 * 720 and counted[top] < 2 and tree.multivariant:
        yield Fault(tree.multivariant.path, f"one variant at {top[0]}x{top[1]}")


@should("Apple 1.32", choice=True)
def default_near_two_megabits(tree: Tree) -> Faults:
    """The first video variant, where players start, is the one nearest to 2000 kbit/s on average."""
    rates = [(tag, tag.integer("AVERAGE-BANDWIDTH")) for tag, t in tree.variants if t and t.media == "video"]
    known = [(tag, rate) for tag, rate in rates if rate is not None]
    if known:
        nearest = min(abs(rate - 2_000_000) for _, rate in known)
        if abs(known[0][1] - 2_000_000) > nearest + 300_000:
            yield Fault(at(tree, known[0][0]), f"the first has {known[0][1]} bit/s", "the one nearest to 2000000")


@should("Apple 1.33")
def same_aspect_ratio(tree: Tree) -> Faults:
    """All video variants have the same aspect ratio, but for the rounding to even sides."""
    shapes = [(tag, tag.size()) for tag, track in tree.variants if track and track.media == "video"]
    sizes = [(tag, size) for tag, size in shapes if size and size[0] and size[1]]
    for tag, (width, height) in sizes[1:]:
        first = max((s for _, s in sizes), key=lambda s: s[0] * s[1])
        if abs(width - height * first[0] / first[1]) > 2 * (1 + first[0] / first[1]):
            yield Fault(at(tree, tag), f"{width}x{height}", f"the shape of {first[0]}x{first[1]}")


@must("Apple 1.24", choice=True)
def sdr_offered(tree: Tree) -> Faults:
    """Where there is HDR video, there is SDR video."""
    ranges = {
        tag.text("VIDEO-RANGE") or range_of(track) for tag, track in tree.variants if track and track.media == "video"
    }
    if ranges and "SDR" not in ranges and tree.multivariant:
        yield Fault(tree.multivariant.path, f"only {', '.join(sorted(ranges))}")


@should("Apple 1.12", choice=True)
def h264_offered(tree: Tree) -> Faults:
    """Some video is H.264."""
    codecs = {track.init.entry for _, track in tree.variants if track and track.media == "video" and track.init}
    if codecs and not codecs & {"avc1", "avc3"} and tree.multivariant:
        yield Fault(tree.multivariant.path, f"only {', '.join(sorted(codecs))}")


@must("Apple 9.19")
def score_on_all_or_none(tree: Tree) -> Faults:
    """SCORE stands on every variant or on none."""
    tags = [tag for tag, _ in tree.variants]
    scored = [tag for tag in tags if tag.text("SCORE") is not None]
    if scored and len(scored) < len(tags):
        yield Fault(at(tree, scored[0]), "SCORE here, not on all variants")


@should("Apple 9.11")
def independent_segments_declared(tree: Tree) -> Faults:
    """The multivariant playlist has EXT-X-INDEPENDENT-SEGMENTS."""
    if tree.multivariant and tree.multivariant.first("EXT-X-INDEPENDENT-SEGMENTS") is None:
        yield Fault(tree.multivariant.path, "no EXT-X-INDEPENDENT-SEGMENTS")


@must("Apple 9.12")
def independent_segments_somewhere(tree: Tree) -> Faults:
    """EXT-X-INDEPENDENT-SEGMENTS stands in the multivariant playlist or in all video playlists."""
    if tree.multivariant is None or tree.multivariant.first("EXT-X-INDEPENDENT-SEGMENTS") is None:
        for track in tree.hls:
            if track.media == "video" and track.playlist and not track.playlist.first("EXT-X-INDEPENDENT-SEGMENTS"):
                yield Fault(track.where, "no EXT-X-INDEPENDENT-SEGMENTS, nor in the multivariant playlist")


RULES = rules_of(globals())
