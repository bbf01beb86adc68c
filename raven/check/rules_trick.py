"""Rules of I-frame playlists (Apple chapter 6, RFC 8216 4.3.4.3) and of subtitles (chapter 5). Pure."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from raven.check.numbers import apart, fraction
from raven.check.pictures import is_idr
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import RANGES, at, same_codec
from raven.check.tree import Tree

_CLOCK = Fraction(1, 100)
"""s that a time may be off by rounding."""
_WEIGHED = 20_000
"""bit/s of I-frames from which on pictures weigh more than their boxes."""


@must("Apple 6.1", choice=True)
def iframes_offered(tree: Tree) -> Faults:
    """Where there is video, there are I-frame playlists."""
    if tree.multivariant and any(t and t.media == "video" for _, t in tree.variants) and not tree.iframe_tags:
        yield Fault(tree.multivariant.path, "no EXT-X-I-FRAME-STREAM-INF")


@must("RFC 8216 4.3.4.3")
def iframe_uri_given(tree: Tree) -> Faults:
    """Every EXT-X-I-FRAME-STREAM-INF has a URI."""
    for tag in tree.iframe_tags:
        if not tag.text("URI"):
            yield Fault(at(tree, tag), "no URI")


@must("Apple 9.3")
def iframe_codecs_given(tree: Tree) -> Faults:
    """Every EXT-X-I-FRAME-STREAM-INF has CODECS."""
    for tag in tree.iframe_tags:
        if not tag.codecs:
            yield Fault(at(tree, tag), "no CODECS")


@must("Apple 9.4")
def iframe_resolution_given(tree: Tree) -> Faults:
    """Every EXT-X-I-FRAME-STREAM-INF has RESOLUTION."""
    for tag in tree.iframe_tags:
        if tag.size() is None:
            yield Fault(at(tree, tag), "no RESOLUTION")


@must("RFC 8216 4.3.4.3")
def iframe_attributes_are_true(tree: Tree) -> Faults:
    """CODECS and RESOLUTION of an I-frame playlist are those of its init segment."""
    for tag in tree.iframe_tags:
        track = tree.track_of(tag.text("URI"))
        init = track.init if track else None
        if init and init.configured and tag.codecs and not any(same_codec(init.codec.text, c) for c in tag.codecs):
            yield Fault(at(tree, tag), f"CODECS {','.join(tag.codecs)}", init.codec.text)
        size = tag.size()
        if init and init.width and size and size != (init.width, init.height) and init.shape in (None, (1, 1)):
            yield Fault(at(tree, tag), "RESOLUTION {}x{}".format(*size), f"{init.width}x{init.height}")


@must("Apple 6.8", "RFC 8216 4.3.3.6")
def iframe_playlists_say_so(tree: Tree) -> Faults:
    """A playlist that EXT-X-I-FRAME-STREAM-INF names has EXT-X-I-FRAMES-ONLY; one that plays has not."""
    for tag in tree.iframe_tags:
        playlist = tree.playlist_of(tag.text("URI"))
        if playlist and not playlist.iframes_only:
            yield Fault(playlist.path, "no EXT-X-I-FRAMES-ONLY")
    for tag, track in tree.variants:
        if track and track.playlist and track.playlist.iframes_only:
            yield Fault(at(tree, tag), "a variant whose playlist has EXT-X-I-FRAMES-ONLY")


@must("Apple 6.10", "RFC 8216 4.3.3.6")
def iframe_ranges_hold_a_picture(tree: Tree) -> Faults:
    """Each segment of an I-frame playlist starts with the moof of its picture, which is a keyframe and whole."""
    for track in tree.hls:
        for timed in track.segments if track.media == "iframes" else ():
            segment, init = timed.segment, timed.init
            if segment is None or init is None or segment.container != "mp4":
                continue
            first = segment.fragments[0] if segment.fragments else None
            if first is None:
                yield Fault(timed.where, "no moof in its bytes")
            elif not first.sync or first.sync[0] != 0 or not is_idr(init.codec.text, first.front.picture):
                yield Fault(timed.where, "its first sample is no keyframe")
            elif not first.inside:
                yield Fault(timed.where, "its range ends before its picture does")


@must("Apple 9.13", "Apple 6.9")
def iframe_bandwidth_is_peak(tree: Tree) -> Faults:
    """BANDWIDTH of an I-frame playlist is its measured peak, within 10 %."""
    for tag in tree.iframe_tags:
        track, declared = tree.track_of(tag.text("URI")), tag.integer("BANDWIDTH")
        if not track or not declared or not all(s.segment for s in track.segments):
            continue
        if abs(track.peak - declared) > Fraction(declared, 10):
            yield Fault(at(tree, tag), f"BANDWIDTH {declared}", f"{round(track.peak)} as measured, within 10 %")


@must("Apple 1.26", "RFC 8216 4.3.4.3")
def iframe_average_is_average(tree: Tree) -> Faults:
    """AVERAGE-BANDWIDTH of an I-frame playlist is its measured average, within 10 %."""
    for tag in tree.iframe_tags:
        track, declared = tree.track_of(tag.text("URI")), tag.integer("AVERAGE-BANDWIDTH")
        if not track or declared is None or not all(s.segment for s in track.segments):
            continue
        if abs(track.average - declared) > Fraction(declared, 10):
            yield Fault(at(tree, tag), f"AVERAGE-BANDWIDTH {declared}", f"{round(track.average)} as measured")


@must("RFC 8216 4.3.3.6")
def iframe_times_are_true(tree: Tree) -> Faults:
    """The EXTINF of each I-frame is the time from when it is shown until the next one is."""
    for track in tree.hls:
        pictures = track.pairs if track.media == "iframes" else ()
        for (init, timed, here), (_, after, following) in pairwise(pictures):
            ticks = following.fragments[0].shown_from - here.fragments[0].shown_from
            if not after.fresh and apart(timed.duration, fraction(ticks, init.timescale), _CLOCK):
                found = f"EXTINF {float(timed.duration):.6f}"
                yield Fault(timed.where, found, f"{ticks / init.timescale:.6f} s to the next picture")


@must("Apple 8.3", "Apple 8.7")
def iframes_span_the_content(tree: Tree) -> Faults:
    """An I-frame playlist lasts as long as the video."""
    video = next((t for t in tree.hls if t.media == "video"), None)
    for track in tree.hls:
        if video and track.media == "iframes" and abs(track.duration - video.duration) > Fraction(1, 2):
            yield Fault(
                track.where, f"{float(track.duration):.3f} s", f"{float(video.duration):.3f} s as {video.where}"
            )


@should("Apple 6.2")
def iframes_are_dense(tree: Tree) -> Faults:
    """Some I-frame playlist has one frame per second."""
    tracks = [t for t in tree.hls if t.media == "iframes" and t.segments]
    mean = [t.duration / len(t.segments) for t in tracks]
    if mean and min(mean) > Fraction(11, 10):
        yield Fault(tracks[0].where, f"a frame each {float(min(mean)):.2f} s", "1 s")


@should("Apple 6.5")
def iframe_rates_are_an_eighth(tree: Tree) -> Faults:
    """The bit rate of I-frames is about that of a variant of their size times their frames per second, by eight."""
    sizes = [(tag.size(), t.average) for tag, t in tree.variants if t and t.media == "video" and t.average]
    for tag in tree.iframe_tags:
        track = tree.track_of(tag.text("URI"))
        rates = [rate for size, rate in sizes if size and size == tag.size()]
        if track and track.average >= _WEIGHED and rates:
            usual = Fraction(len(track.segments), 8) / track.duration
            least, most = min(rates) * usual / 4, max(rates) * usual * 4  # what pictures cost depends on the film
            if not least <= track.average <= most:
                yield Fault(at(tree, tag), f"{round(track.average)} bit/s", f"{round(least)} to {round(most)}")


@should("Apple 6.6", choice=True)
def several_iframe_rates(tree: Tree) -> Faults:
    """There are I-frame playlists of different bit rates."""
    if tree.multivariant and len(tree.iframe_tags) == 1:
        yield Fault(tree.multivariant.path, "one I-frame playlist")


@should("Apple 6.14", choice=True)
def h264_iframes_offered(tree: Tree) -> Faults:
    """Some trick play is H.264."""
    if (
        tree.multivariant
        and tree.iframe_tags
        and not any(c.startswith("avc") for t in tree.iframe_tags for c in t.codecs)
    ):
        yield Fault(tree.multivariant.path, "no H.264 in the I-frame playlists")


@must("Apple 6.16", choice=True)
def sdr_iframes_offered(tree: Tree) -> Faults:
    """Where there is trick play, some of it is SDR."""
    ranges = {t.text("VIDEO-RANGE") or "SDR" for t in tree.iframe_tags}
    if tree.multivariant and ranges and "SDR" not in ranges:
        yield Fault(tree.multivariant.path, f"I-frame playlists in {', '.join(sorted(ranges))} alone")


@must("Apple 9.16")
def iframe_range_given(tree: Tree) -> Faults:
    """An I-frame playlist of HDR video has VIDEO-RANGE."""
    for tag in tree.iframe_tags:
        track = tree.track_of(tag.text("URI"))
        colour = track.init.colour if track and track.init else None
        wanted = RANGES.get(colour[1], "SDR") if colour else "SDR"
        if (tag.text("VIDEO-RANGE") or "SDR") != wanted:
            yield Fault(at(tree, tag), f"VIDEO-RANGE {tag.text('VIDEO-RANGE') or 'missing'}", wanted)


@must("Apple 5.2", "Apple 5.4", "RFC 8216 3.5")
def subtitles_are_text(tree: Tree) -> Faults:
    """Subtitle segments are WebVTT with its header and cue times, or fragmented MP4."""
    for track in tree.hls:
        for timed in track.segments if track.media == "text" else ():
            vtt = tree.texts.get(timed.resource.path)
            if timed.segment and timed.segment.container not in ("text", "mp4"):
                yield Fault(timed.where, f"a segment of {timed.segment.container}", "WebVTT or IMSC1 in fMP4")
            elif vtt and vtt.faults:
                yield Fault(timed.where, vtt.faults[0], "WebVTT")


@must("Apple 5.3", "RFC 8216 3.5")
def subtitles_are_mapped(tree: Tree) -> Faults:
    """Every WebVTT segment of HLS has an X-TIMESTAMP-MAP in its header."""
    for track in tree.hls:
        for timed in track.segments:
            vtt = tree.texts.get(timed.resource.path)
            if vtt and not vtt.mapped:
                yield Fault(timed.where, "no X-TIMESTAMP-MAP")


@must("Apple 5.5")
def subtitles_span_the_content(tree: Tree) -> Faults:
    """A subtitle playlist lasts as long as the content."""
    main = next((t for t in tree.hls if t.media in ("video", "audio")), None)
    for track in tree.hls:
        if main and track.media == "text" and abs(track.duration - main.duration) > Fraction(1, 2):
            yield Fault(track.where, f"{float(track.duration):.3f} s", f"{float(main.duration):.3f} s as {main.where}")


@should("Apple 5.10")
def subtitle_codec_declared(tree: Tree) -> Faults:
    """CODECS of a variant with subtitles in fMP4 names their codec."""
    for tag, _ in tree.variants:
        tracks = [tree.track_of(m.text("URI")) for m in tree.group("SUBTITLES", tag.text("SUBTITLES"))]
        inits = [t.init for t in tracks if t and t.init]
        if inits and not any(c.startswith(("stpp", "wvtt")) for c in tag.codecs):
            yield Fault(at(tree, tag), f"CODECS {','.join(tag.codecs)}", f"{inits[0].entry} too")


RULES = rules_of(globals())
