"""Rules of HLS about the media itself: codecs, times, borders (Apple chapters 1, 7, 8). Pure."""

from __future__ import annotations

from fractions import Fraction

from raven.check.numbers import apart, fraction
from raven.check.pictures import is_idr
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Track, Tree
from raven.media.grid import in_ticks

_H264_HIGH = (66, 77, 88, 100)
_COUNTED = 8
"""Frames of a segment by which its rate is told."""
_VIDEO = ("avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "av01")


def _video(tree: Tree) -> list[Track]:
    return [t for t in tree.hls if t.media == "video" and t.init]


def _av(tree: Tree) -> list[Track]:
    return [t for t in tree.hls if t.media in ("video", "audio")]


@must("Apple 1.1", choice=True)
def video_codec_allowed(tree: Tree) -> Faults:
    """Video is H.264, HEVC, Dolby Vision or AV1."""
    for track in _video(tree):
        if track.init and track.init.entry not in _VIDEO:
            yield Fault(track.where, f"sample entry {track.init.entry}", "H.264, HEVC, Dolby Vision or AV1")


@must("Apple 1.3b", choice=True)
def h264_within_high_52(tree: Tree) -> Faults:
    """H.264 is at most High profile, level 5.2."""
    for track in _video(tree):
        codec = track.init.codec if track.init else None
        if codec and codec.text.startswith("avc") and (codec.profile not in _H264_HIGH or codec.level > 52):
            yield Fault(track.where, codec.text, "at most High profile (64 hex), level 5.2 (34 hex)")


@should("Apple 1.3a", choice=True)
def h264_for_all(tree: Tree) -> Faults:
    """Some H.264 variant is at most level 4.1."""
    levels = [t.init.codec.level for t in _video(tree) if t.init and t.init.codec.text.startswith("avc")]
    if levels and min(levels) > 41:
        yield Fault(tree.name, f"the lowest level of H.264 is {min(levels) / 10}", "4.1 or less")


@must("Apple 1.6b", choice=True)
def hevc_within_main10_51(tree: Tree) -> Faults:
    """HEVC is at most Main 10 profile, level 5.1, High tier."""
    for track in _video(tree):
        codec = track.init.codec if track.init else None
        if codec and codec.text.startswith(("hvc", "hev")) and (codec.profile not in (1, 2) or codec.level > 153):
            yield Fault(track.where, codec.text, "at most Main 10, level 5.1 (L153)")


@should("Apple 1.6a", choice=True)
def hevc_for_all(tree: Tree) -> Faults:
    """Some HEVC variant is at most Main 10, level 4.0, Main tier."""
    codecs = [t.init.codec for t in _video(tree) if t.init and t.init.codec.text.startswith(("hvc", "hev"))]
    if codecs and not any(c.level <= 120 and not c.high_tier for c in codecs):
        yield Fault(tree.name, f"HEVC of {', '.join(sorted({c.text for c in codecs}))}", "one of level 4.0, Main tier")


@must("Apple 1.37", choice=True)
def av1_within_62(tree: Tree) -> Faults:
    """AV1 is at most level 6.2."""
    for track in _video(tree):
        if track.init and track.init.entry == "av01" and track.init.codec.level > 18:  # seq_level_idx of 6.2
            yield Fault(track.where, track.init.codec.text, "at most level 6.2 (index 18)")


@should("Apple 1.10")
def parameter_sets_in_entry(tree: Tree) -> Faults:
    """Parameter sets are in the sample description: avc1, hvc1, dvh1."""
    for track in _video(tree):
        if track.init and track.init.entry in ("avc3", "hev1", "dvhe"):
            yield Fault(track.where, f"sample entry {track.init.entry}", "avc1, hvc1 or dvh1")


@must("Apple 1.19")
def at_most_60_frames(tree: Tree) -> Faults:
    """Video has at most 60 frames/s."""
    for track in _video(tree):
        rate = track.frame_rate
        if rate and rate > Fraction(6001, 100):
            yield Fault(track.where, f"{float(rate):.3f} frames/s", "at most 60")


@should("Apple 1.13")
def keyframes_each_two_seconds(tree: Tree) -> Faults:
    """There is a keyframe every 2 s."""
    for track in _video(tree):
        for init, timed, segment in track.pairs:
            ticks = sorted((f.decode_time or 0) + s for f in segment.fragments for s in f.sync)
            gaps = [b - a for a, b in zip(ticks, [*ticks[1:], segment.end], strict=True)]
            if gaps and 100 * max(gaps) > 205 * init.timescale:
                yield Fault(timed.where, f"{max(gaps) / init.timescale:.3f} s without a keyframe", "about 2 s")
                break


@must("Apple 7.4")
def segments_start_with_idr(tree: Tree) -> Faults:
    """Every video segment starts with a sync sample, which in H.264 and HEVC is an IDR."""
    for track in _video(tree):
        for init, timed, segment in track.pairs:
            first = segment.fragments[0]
            if first.samples and (not first.sync or first.sync[0] != 0):
                yield Fault(timed.where, "its first sample is no sync sample", "an IDR")
            elif first.samples and first.inside and not first.encrypted:
                picture = first.front.picture
                if not is_idr(init.codec.text, picture):
                    found = "there is none" if picture is None else f"is NAL unit type {picture}"
                    yield Fault(timed.where, f"of its first picture: {found}", "an IDR")


@must("Apple 7.3", "Apple 7.1")
def decode_times_run_on(tree: Tree) -> Faults:
    """A segment's decode time is that of the segment before it plus its duration, but at discontinuities."""
    for track in tree.hls:
        end: int | None = None
        for _, timed, segment in track.pairs:
            if (
                track.media != "iframes"
                and end is not None
                and not timed.fresh
                and segment.decode_time not in (None, end)
            ):
                yield Fault(timed.where, f"decode time {segment.decode_time}", f"{end}")
            end = segment.end


@must("Apple 8.20")
def fmp4_has_map(tree: Tree) -> Faults:
    """Segments of fragmented MP4 have an EXT-X-MAP."""
    for playlist in tree.playlists.values():
        for segment in playlist.segments:
            if segment.map is None and segment.uri.partition("?")[0].endswith((".m4s", ".mp4", ".cmfv", ".cmfa")):
                yield Fault(f"{playlist.path} line {segment.line}", "a segment of fMP4 without EXT-X-MAP")
                break


@must("Apple 8.1")
def extinf_is_true(tree: Tree) -> Faults:
    """The sum of the EXTINF of any run of segments is within one frame of the real duration."""
    for track in _av(tree):
        rate = track.frame_rate if track.media == "video" else None
        frame = 1 / rate if rate else Fraction(1, 60)
        declared = [timed.duration for _, timed, _ in track.pairs]
        real = [timed.played or timed.duration for _, timed, _ in track.pairs]
        _, (allowed, *ticks) = in_ticks([frame, *declared, *real])
        most = least = drift = 0
        for (_, timed, _), told, lasts in zip(track.pairs, ticks, ticks[len(declared) :], strict=False):
            drift += told - lasts
            most, least = max(most, drift), min(least, drift)
            if most - least > allowed:
                wanted = f"{float(timed.seconds or 0):.6f} s by its samples, no drift over {float(frame):.6f} s"
                yield Fault(timed.where, f"EXTINF {float(timed.duration):.6f}", wanted)
                break


@must("Apple 8.2")
def same_target_everywhere(tree: Tree) -> Faults:
    """Audio and video playlists have the same target duration."""
    tracks = [t for t in _av(tree) if t.playlist and t.playlist.target is not None]
    for track in tracks[1:]:
        first = tracks[0].playlist
        if first and track.playlist and track.playlist.target != first.target:
            yield Fault(track.where, f"target duration {track.playlist.target}", f"{first.target} as in {first.path}")


def _longest_frame(track: Track) -> Fraction:
    """How far lengths may differ as no track can be cut finer: a frame or packet, s."""
    init = track.init
    shortest = max((f.shortest for _, _, s in track.pairs for f in s.fragments), default=0)
    return Fraction(shortest, init.timescale) if init and init.timescale else Fraction(1, 20)


@must("Apple 8.3", "Apple 8.7", "Apple 2.15")
def same_duration_everywhere(tree: Tree) -> Faults:
    """Audio and video playlists last equally long, to a frame or packet."""
    tracks = _av(tree)
    for track in tracks[1:]:
        allowed = _longest_frame(tracks[0]) + _longest_frame(track)
        if abs(track.duration - tracks[0].duration) > allowed:
            wanted = f"{float(tracks[0].duration):.6f} s as {tracks[0].where}"
            yield Fault(track.where, f"{float(track.duration):.6f} s", wanted)


@must("Apple 8.7")
def same_start_everywhere(tree: Tree) -> Faults:
    """All media playlists start at the same media time, to a frame or packet and the priming of a codec."""
    starts = [(t, start_of(t)) for t in _av(tree)]
    known = [(t, s) for t, s in starts if s is not None]
    for track, start in known[1:]:
        if abs(start - known[0][1]) > _longest_frame(known[0][0]) + 3 * _longest_frame(track):
            yield Fault(
                track.where, f"starts at {float(start):.6f} s", f"{float(known[0][1]):.6f} s as {known[0][0].where}"
            )


def start_of(track: Track) -> Fraction | None:
    """The first presentation time after the edit list, s."""
    for init, _, segment in track.pairs:
        return Fraction(segment.fragments[0].shown_from - init.skipped, init.timescale)
    return None


@must("Apple 8.15", "Apple 8.13")
def same_discontinuities(tree: Tree) -> Faults:
    """All variants and renditions have discontinuities at the same times."""
    tracks = [t for t in tree.hls if t.media in ("video", "audio", "text")]
    marks = [[round(s.start, 1) for s in t.segments[1:] if s.fresh] for t in tracks]
    for track, here in zip(tracks[1:], marks[1:], strict=True):
        if len(here) != len(marks[0]) or any(abs(a - b) > Fraction(1, 2) for a, b in zip(here, marks[0], strict=True)):
            yield Fault(track.where, f"{len(here)} discontinuities", f"those of {tracks[0].where}: {len(marks[0])}")


@must("Apple 8.13", "RFC 8216 4.3.2.3")
def format_changes_at_discontinuities(tree: Tree) -> Faults:
    """Codec, track and time scale change at a discontinuity only."""
    for track in tree.hls:
        last: tuple[object, ...] | None = None
        for timed in track.segments:
            init = timed.init
            here = (init.entry, init.track_id, init.timescale) if init else last
            if last and here != last and not timed.fresh:
                yield Fault(timed.where, f"{here} after {last}", "a discontinuity")
            last = here


@must("Apple 8.14")
def frame_rate_changes_at_discontinuities(tree: Tree) -> Faults:
    """The frame rate of video changes at a discontinuity only."""
    for track in _video(tree):
        last: Fraction | None = None
        for init, timed, segment in track.pairs:
            last = None if timed.fresh else last
            count = sum(f.samples for f in segment.fragments) - 1  # the last of the film may end early
            ticks = segment.duration - segment.fragments[-1].final
            rate = fraction(count * init.timescale, ticks) if count >= _COUNTED and ticks > 0 else last
            if last and rate and rate is not last and abs(rate - last) > last / 10:
                yield Fault(timed.where, f"{float(rate):.3f} frames/s after {float(last):.3f}", "a discontinuity")
            last = rate


@should("Apple 8.22")
def same_borders(tree: Tree) -> Faults:
    """All audio and video playlists have segment borders at the same times, to a packet."""
    tracks = _av(tree)
    for track in tracks[1:]:
        allowed = _longest_frame(tracks[0]) + _longest_frame(track)
        pairs = list(zip(tracks[0].segments, track.segments, strict=False))
        off = next((b for a, b in pairs if apart(a.start, b.start, allowed)), None)
        if len(tracks[0].segments) != len(track.segments):
            yield Fault(
                track.where, f"{len(track.segments)} segments", f"{len(tracks[0].segments)} as {tracks[0].where}"
            )
        elif off:
            yield Fault(off.where, f"starts at {float(off.start):.3f} s", f"as in {tracks[0].where}")


@must("Apple 2.17")
def one_audio_in_a_segment(tree: Tree) -> Faults:
    """A segment has one audio stream at most."""
    for track in tree.hls:
        if track.media == "audio" and track.init and track.init.tracks > 1:
            yield Fault(track.where, f"{track.init.tracks} tracks in one init segment")


@should("RFC 8216 3.3", "RFC 8216 6.2.4")
def switching_needs_no_new_clock(tree: Tree) -> Faults:
    """The video variants have the same time scale and the same first decode time."""
    tracks = _video(tree)
    for track in tracks[1:]:
        here, first = start_of(track), start_of(tracks[0])
        if here is not None and first is not None and here != first:
            yield Fault(track.where, f"starts at {float(here):.6f} s", f"{float(first):.6f} s as {tracks[0].where}")


RULES = rules_of(globals())
