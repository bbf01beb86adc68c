"""Rules of the MPD by itself: ISO/IEC 23009-1 and the DASH-IF guidelines (IOP, restricted timing model). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from raven.check import mpd
from raven.check.mpd import Mpd
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Tree

_FORBIDDEN = ("presentationDuration", "eptDelta", "pdDelta", "availabilityTimeComplete")
_MAX_TIME = 1 << 53
_MIME = {"video": "video/mp4", "audio": "audio/mp4"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def mpds(tree: Tree) -> Iterator[Mpd]:
    if tree.mpd:
        yield tree.mpd


@must("ISO/IEC 23009-1 5.2.3")
def mpd_namespace(tree: Tree) -> Faults:
    """The MPD is in the namespace of MPEG-DASH."""
    for found in mpds(tree):
        if found.namespace != mpd.NAMESPACE:
            yield Fault(found.path, f"namespace {found.namespace[:60] or 'none'}", mpd.NAMESPACE)


@must("ISO/IEC 23009-1 5.3.1.2")
def mpd_names_profiles(tree: Tree) -> Faults:
    """The MPD has @profiles."""
    for found in mpds(tree):
        if not found.attributes.get("profiles", "").strip():
            yield Fault(found.path, "no @profiles")


@must("DASH-IF timing 5.1", "ISO/IEC 23009-1 5.3.1.2")
def mpd_is_static(tree: Tree) -> Faults:
    """The MPD of a finished presentation is static."""
    for found in mpds(tree):
        if found.attributes.get("type", "static") != "static":
            yield Fault(found.path, f"@type {found.attributes['type'][:20]}", "static")


@must("ISO/IEC 23009-1 5.3.1.2")
def mpd_buffer_time(tree: Tree) -> Faults:
    """The MPD has a @minBufferTime."""
    for found in mpds(tree):
        if found.seconds("minBufferTime") is None:
            yield Fault(found.path, f"@minBufferTime {found.attributes.get('minBufferTime', 'missing')[:30]}")


@must("DASH-IF timing 4.2", "ISO/IEC 23009-1 5.3.1.2")
def mpd_duration(tree: Tree) -> Faults:
    """A static MPD has a @mediaPresentationDuration, or its last Period has a @duration; it is not 0."""
    for found in mpds(tree):
        last = found.periods[-1].duration if found.periods else None
        if not last:
            value = found.attributes.get("mediaPresentationDuration", "missing")
            yield Fault(found.path, f"@mediaPresentationDuration {value[:30]}", "a duration in days to seconds, not 0")


@must("DASH-IF IOP 3.2.1")
def mpd_durations_are_plain(tree: Tree) -> Faults:
    """Durations are written without years and months."""
    names = ("mediaPresentationDuration", "minBufferTime", "maxSegmentDuration", "start", "duration")
    for found in mpds(tree):
        for where, attributes in ((found.path, found.attributes), *((p.where, p.attributes) for p in found.periods)):
            for name in names:
                if name in attributes and mpd.seconds(attributes[name]) is None:
                    yield Fault(where, f"@{name} {attributes[name][:30]}", "days, hours, minutes and seconds")


@must("DASH-IF timing 4.2")
def first_period_starts_at_zero(tree: Tree) -> Faults:
    """The first Period of a static MPD starts at 0."""
    for found in mpds(tree):
        if not found.periods:
            yield Fault(found.path, "no Period")
        elif found.periods[0].start != 0:
            yield Fault(found.periods[0].where, f"@start {float(found.periods[0].start)} s", "0")


@must("DASH-IF timing 4.2")
def periods_join(tree: Tree) -> Faults:
    """Periods follow each other without a gap, and none is empty in time."""
    for found in mpds(tree):
        for period, after in zip(found.periods, found.periods[1:], strict=False):
            if not period.duration or period.start + period.duration != after.start:
                yield Fault(
                    period.where, f"lasts {float(period.duration or 0):.6f} s", f"until {float(after.start):.6f} s"
                )


@must("ISO/IEC 23009-1 5.3.2")
def periods_have_sets(tree: Tree) -> Faults:
    """Every Period has AdaptationSets, and each of them Representations."""
    for found in mpds(tree):
        for period in found.periods:
            if not period.sets:
                yield Fault(period.where, "no AdaptationSet")
            for group in period.sets:
                if not group.representations:
                    yield Fault(group.where, "no Representation")


@must("DASH-IF timing 6.1", "DASH-IF IOP 3.2.2")
def one_addressing_in_a_set(tree: Tree) -> Faults:
    """All Representations of an AdaptationSet name their segments in the same way."""
    for found in mpds(tree):
        for group in found.sets:
            kinds = {(r.addressing.kind, r.addressing.timeline is None) for r in group.representations}
            if len(kinds) > 1:
                yield Fault(group.where, f"{', '.join(sorted(kind or 'BaseURL' for kind, _ in kinds))}", "one way")


@must("DASH-IF timing 6.3", "ISO/IEC 23009-1 5.3.9.4")
def addressing_is_sound(tree: Tree) -> Faults:
    """Segment templates and timelines are well formed, and every segment lies in this tree."""
    for found in mpds(tree):
        for r in found.representations:
            for fault in r.addressing.faults[:5]:
                yield Fault(r.where, fault)


@must("DASH-IF timing 6.3", "ISO/IEC 23009-1 5.3.9.4.4")
def template_is_complete(tree: Tree) -> Faults:
    """A SegmentTemplate has @media with $Number$ or $Time$ (one of them), and @initialization."""
    for found in mpds(tree):
        for r in found.representations:
            media = r.addressing.attributes.get("media", "")
            used = {name for name in ("Number", "Time") if re.search(rf"\${name}(%0[0-9]+d)?\$", media)}
            if r.addressing.kind == "SegmentTemplate" and len(used) != 1:
                yield Fault(r.where, f"@media {media[:60] or 'missing'}", "$Number$ or $Time$")
            image = r.attributes.get("mimeType", "").startswith("image/")
            if r.addressing.kind == "SegmentTemplate" and r.addressing.init is None and not image:
                yield Fault(r.where, "no @initialization")


@should("DASH-IF timing 6.3")
def template_has_timeline(tree: Tree) -> Faults:
    """A SegmentTemplate of video or audio tells the times of its segments by a SegmentTimeline."""
    for track in tree.dash:
        how = track.representation.addressing if track.representation else None
        if how and how.kind == "SegmentTemplate" and how.timeline is None and track.media in ("video", "audio"):
            yield Fault(track.where, "a SegmentTemplate without SegmentTimeline")


@must("DASH-IF timing 6.3")
def template_is_restricted(tree: Tree) -> Faults:
    """Addressing has no @eptDelta, @pdDelta, @presentationDuration, @availabilityTimeComplete, no S@n, no S@k."""
    for found in mpds(tree):
        for r in found.representations:
            names = [n for n in _FORBIDDEN if n in r.addressing.attributes]
            names += [f"S@{n}" for n in ("n", "k") if any(n in e.attributes for e in r.addressing.timeline or ())]
            if names:
                yield Fault(r.where, f"{', '.join(names)}", "none of them")


@must("DASH-IF timing 6.3")
def timeline_has_no_gaps(tree: Tree) -> Faults:
    """The segments of a SegmentTimeline join without gap and overlap, and none is empty."""
    for found in mpds(tree):
        for r in found.representations:
            end: int | None = None
            for ref in r.addressing.references if r.addressing.timeline is not None else ():
                if ref.duration <= 0 or (end is not None and ref.start != end):
                    yield Fault(f"{r.where} {ref.resource}", f"{ref.start} + {ref.duration}", f"from {end} on")
                    break
                end = ref.start + ref.duration


@must("DASH-IF timing 5.2")
def period_is_covered(tree: Tree) -> Faults:
    """The segments of every Representation cover the whole Period, and none lies outside of it."""
    for period, track in tree.dash_rows:
        if period.duration is None or not track.segments or track.media == "image":
            continue
        start, last = track.segments[0].start, track.segments[-1]
        stop, end = period.start + period.duration, last.start + last.duration
        slack = Fraction(1, 20)  # no packet of audio is longer, and borders cannot be finer than that
        if start > period.start + slack or end < stop - slack:
            wanted = f"{float(period.start):.3f} to {float(stop):.3f} s"
            yield Fault(track.where, f"segments from {float(start):.3f} to {float(end):.3f} s", wanted)
        elif last.start >= stop or (len(track.segments) > 1 and track.segments[1].start <= period.start):
            yield Fault(track.where, "a segment that is wholly outside of the Period")


@must("DASH-IF timing 6.2")
def times_fit_a_double(tree: Tree) -> Faults:
    """Times stay below 2^53, which is all that players in a browser can count."""
    for found in mpds(tree):
        for r in found.representations:
            last = r.addressing.references[-1] if r.addressing.references else None
            if last and last.start + last.duration >= _MAX_TIME:
                yield Fault(r.where, f"time {last.start}", "below 2^53")


RULES = rules_of(globals())
