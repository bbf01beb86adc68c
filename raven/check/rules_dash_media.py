"""Rules of the MPD against the bytes: what it says of segments is what they are (ISO/IEC 23009-1, DASH-IF). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from raven.check import mpd
from raven.check.isobmff import Init
from raven.check.mpd import Representation
from raven.check.numbers import apart, fraction
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import same_codec
from raven.check.tree import Track, Tree
from raven.media.grid import in_ticks

_HANDLERS = {"video": "vide", "audio": "soun"}
_TILE = ("http://dashif.org/guidelines/thumbnail_tile", "http://dashif.org/thumbnail_tile")
_TRICK = "http://dashif.org/guidelines/trickmode"
_CHANNELS = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
_CICP_CHANNELS = "urn:mpeg:mpegB:cicp:ChannelConfiguration"
_CICP = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 9: 3, 10: 4, 11: 7, 12: 8}
"""Channels by ChannelConfiguration (ISO/IEC 23091-3)."""


def _tracks(tree: Tree) -> Iterator[tuple[Track, Representation, Init]]:
    for track in tree.dash:
        if track.representation and track.init:
            yield track, track.representation, track.init


@must("DASH-IF IOP 3.2.4", "RFC 6381 3.3")
def mpd_codecs_are_true(tree: Tree) -> Faults:
    """@codecs is the sample entry of the init segment."""
    for track, r, init in _tracks(tree):
        if r.codecs and init.configured and not any(same_codec(init.codec.text, c) for c in r.codecs):
            yield Fault(track.where, f"@codecs {','.join(r.codecs)}", init.codec.text)


@must("DASH-IF IOP 3.2.4")
def mpd_size_is_true(tree: Tree) -> Faults:
    """@width and @height are those of the init segment."""
    for track, r, init in _tracks(tree):
        declared = (r.integer("width"), r.integer("height"))
        if init.handler == "vide" and None not in declared and declared != (init.width, init.height):
            yield Fault(track.where, "{}x{}".format(*declared), f"{init.width}x{init.height}")


@must("DASH-IF IOP 3.2.4")
def mpd_frame_rate_is_true(tree: Tree) -> Faults:
    """@frameRate is the rate of the samples."""
    for track, r, _ in _tracks(tree):
        declared, real = r.rate(), track.frame_rate
        if track.media == "video" and declared and real and abs(declared - real) > real / 500:
            yield Fault(track.where, f"@frameRate {r.attributes['frameRate']}", f"{float(real):.3f}")


@must("ISO/IEC 23009-1 5.3.7.2")
def mpd_shape_is_true(tree: Tree) -> Faults:
    """@sar is the sample aspect ratio of the init segment: the picture is as wide by both, to a pixel."""
    for track, r, init in _tracks(tree):
        declared = mpd.ratio(r.attributes.get("sar"))
        real = Fraction(*init.shape) if init.shape and all(init.shape) else None
        if declared and real and init.shape and abs(declared - real) * init.width >= 1:
            yield Fault(track.where, f"@sar {r.attributes['sar']}", "{}:{}".format(*init.shape))


@must("DASH-IF IOP 3.2.4")
def mpd_sampling_rate_is_true(tree: Tree) -> Faults:
    """@audioSamplingRate is that of the init segment."""
    for track, r, init in _tracks(tree):
        declared = r.integer("audioSamplingRate")
        if init.handler == "soun" and declared and init.sample_rate and declared != init.sample_rate:
            yield Fault(track.where, f"@audioSamplingRate {declared}", str(init.sample_rate))


@must("DASH-IF IOP 3.2.4", "ISO/IEC 23003-3")
def mpd_channels_are_true(tree: Tree) -> Faults:
    """AudioChannelConfiguration tells the channels of the init segment."""
    for track, r, init in _tracks(tree):
        for d in r.descriptors:
            if d.scheme in (_CHANNELS, _CICP_CHANNELS):
                count = _CICP.get(int(d.value), 0) if d.value.isdecimal() and len(d.value) < 5 else -1
                if count and init.codec.channels not in (0, count):
                    yield Fault(track.where, f"AudioChannelConfiguration {d.value}", f"{init.codec.channels} channels")


@must("ISO/IEC 23009-1 5.3.3.2")
def mpd_media_is_true(tree: Tree) -> Faults:
    """@contentType is the handler of the init segment."""
    for track, _, init in _tracks(tree):
        if init.handler != _HANDLERS.get(track.media, init.handler):
            yield Fault(track.where, f"{track.media} with handler {init.handler}", _HANDLERS[track.media])


@should("ISO/IEC 23009-1 5.3.3.2")
def mpd_language_is_true(tree: Tree) -> Faults:
    """@lang does not contradict the language in the init segment."""
    for track, r, init in _tracks(tree):
        lang = r.attributes.get("lang", "").split("-")[0].lower()
        known = init.language not in ("und", "```", "mul", "zxx", "mis")
        if len(lang) == 3 and known and lang != init.language and init.handler == "soun" and lang != "und":
            yield Fault(track.where, f"@lang {lang}", init.language)


@must("DASH-IF timing 6.3", "ISO/IEC 23009-1 5.3.9.6")
def mpd_times_are_true(tree: Tree) -> Faults:
    """Each segment starts where the MPD says: its first presentation time or decode time, to half a frame or packet."""
    for period, track in tree.dash_rows:
        how = track.representation.addressing if track.representation else None
        ahead = Fraction(how.offset, how.timescale) - period.start if how else Fraction(0)
        for init, timed, segment in track.pairs if how and how.kind != "SegmentBase" else ():
            scale, first = init.timescale, segment.fragments[0]
            declared = timed.start + ahead if ahead else timed.start
            shown = fraction(first.shown_from - init.skipped, scale)
            if shown is declared:
                continue
            decoded = fraction(segment.decode_time or 0, scale)
            slack = fraction(max(first.shortest, 1), 2 * scale) if how and how.timeline else timed.duration / 2
            if apart(declared, shown, slack) and apart(declared, decoded, slack):
                yield Fault(timed.where, f"at {float(declared):.6f} s", f"{float(shown):.6f} s by its samples")
                break


@must("DASH-IF timing 6.3", "ISO/IEC 23009-1 5.3.9.6")
def mpd_durations_are_true(tree: Tree) -> Faults:
    """Each segment lasts as long as its S or its subsegment says, to half a frame or packet."""
    for track in tree.dash:
        how = track.representation.addressing if track.representation else None
        for init, timed, segment in track.pairs if how and (how.timeline or how.index) else ():
            slack = fraction(max(segment.fragments[0].shortest, 1), 2 * init.timescale)
            real = timed.played
            if real is not None and apart(real, timed.duration, slack):
                yield Fault(timed.where, f"{float(timed.duration):.6f} s", f"{float(real):.6f} s by its samples")
                break


@must("ISO/IEC 23009-1 5.3.1.2")
def max_segment_duration_holds(tree: Tree) -> Faults:
    """No segment of video or audio is longer than @maxSegmentDuration."""
    most = tree.mpd.seconds("maxSegmentDuration") if tree.mpd else None
    if most is None:
        return
    limit = most + Fraction(1, 1000)
    for track in tree.dash:
        for timed in track.segments:
            lasts = timed.seconds or timed.duration
            if track.media in ("video", "audio", "iframes") and lasts > limit:
                yield Fault(timed.where, f"{float(lasts):.6f} s", f"at most @maxSegmentDuration, {float(most):.6f} s")
                break


@must("ISO/IEC 23009-1 5.3.5.2")
def bandwidth_and_buffer_suffice(tree: Tree) -> Faults:
    """A channel of @bandwidth that is @minBufferTime ahead has delivered every segment when it has played out."""
    buffer = tree.mpd.seconds("minBufferTime") if tree.mpd else None
    for track in tree.dash if buffer is not None else ():
        rate = track.representation.integer("bandwidth") if track.representation else None
        if not rate or buffer is None or track.media == "image" or not all(s.segment for s in track.segments):
            continue
        scale, (ahead, *lengths) = in_ticks([buffer, *(timed.duration for timed in track.segments)])
        full = level = worst = rate * ahead
        for timed, length in zip(track.segments, lengths, strict=True):
            # what is ahead when the segment has played out; more than at a start is no help
            level = min(level, full) + rate * length - 8 * scale * timed.bytes
            worst = min(worst, level)
        if worst < 0:
            wanted = f"{round(Fraction(-worst, 8 * scale))} bytes more ahead"
            yield Fault(track.where, f"@bandwidth {rate} with {float(buffer):.3f} s of buffer", wanted)


@must("ISO/IEC 23009-1 5.3.9.2", "DASH-IF timing 6.2")
def index_is_given(tree: Tree) -> Faults:
    """A Representation in one file has Initialization@range and @indexRange, whose sidx has the track's time scale."""
    for _, track in tree.dash_rows:
        r = track.representation
        if r and r.addressing.kind in ("SegmentBase", "") and track.media in ("video", "audio"):
            if r.addressing.index is None:
                yield Fault(track.where, "no SegmentBase@indexRange")
            elif r.addressing.init is None or r.addressing.init.length is None:
                yield Fault(track.where, "no Initialization@range")
            elif (
                track.init and "timescale" in r.addressing.attributes and r.addressing.timescale != track.init.timescale
            ):
                yield Fault(track.where, f"@timescale {r.addressing.timescale}", str(track.init.timescale))


@must("DASH-IF IOP 3.2.9")
def trick_mode_has_main(tree: Tree) -> Faults:
    """A set for trick mode names an AdaptationSet of the same Period that plays normally."""
    for period in tree.mpd.periods if tree.mpd else ():
        ids = {s.attributes.get("id") for s in period.sets if not s.values("EssentialProperty", _TRICK)}
        for group in period.sets:
            for value in group.values("EssentialProperty", _TRICK):
                if not set(value.split()) & {i for i in ids if i}:
                    yield Fault(group.where, f"trick mode of {value[:40] or 'nothing'}", "the @id of a set of video")


@must("DASH-IF IOP 3.2.9")
def trick_mode_is_told(tree: Tree) -> Faults:
    """A set of single pictures beside a set that moves is one for trick mode, and says so; else players play it."""
    for period in tree.mpd.periods if tree.mpd else ():
        groups = [(group, tree.in_set(group)) for group in period.sets if group.media == "video"]
        still = [group for group, tracks in groups if tracks and all(map(_single_pictures, tracks))]
        for group in still if len(still) < len(groups) else ():
            if not any(d.scheme == _TRICK for d in group.descriptors):
                yield Fault(group.where, "pictures that stand for half a second and more", f"a property {_TRICK}")


def _single_pictures(track: Track) -> bool:
    """Whether each fragment of a track is one sync sample that is shown for long."""
    if any(f.samples > 1 or not f.sync for _, _, segment in track.pairs for f in segment.fragments):
        return False
    lengths = [Fraction(f.final, init.timescale) for init, _, segment in track.pairs for f in segment.fragments]
    return 2 * sum(length >= Fraction(1, 2) for length in lengths) > len(lengths)


@must("DASH-IF IOP 6.2.6")
def thumbnails_are_tiles(tree: Tree) -> Faults:
    """A set of images has the grid of its tiles, `HxV`, and @width and @height that it divides."""
    for group in tree.mpd.sets if tree.mpd else ():
        for r in group.representations if group.media == "image" else ():
            found = next((d.value for d in r.descriptors if d.scheme in _TILE), "").split("x")
            if len(found) != 2 or not all(f.isdecimal() and 0 < len(f) < 5 and int(f) for f in found):
                yield Fault(r.where, "no thumbnail_tile of HxV")
            elif not all(r.integer(n) for n in ("width", "height")):
                yield Fault(r.where, "no @width or no @height")
            elif any((r.integer(n) or 0) % int(f) for n, f in zip(("width", "height"), found, strict=True)):
                yield Fault(r.where, f"{r.integer('width')}x{r.integer('height')} in {'x'.join(found)} tiles")


RULES = rules_of(globals())
