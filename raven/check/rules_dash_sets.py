"""Rules of AdaptationSets and Representations: what the MPD has to say of each (ISO/IEC 23009-1, DASH-IF IOP). Pure."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from raven.check import mpd
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_dash import mpds
from raven.check.tree import Tree

_MIME = {"video": "video/mp4", "audio": "audio/mp4"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


@must("ISO/IEC 23009-1 5.3.5.2")
def representation_ids(tree: Tree) -> Faults:
    """Every Representation has an @id that no other in its Period has."""
    for found in mpds(tree):
        for period in found.periods:
            ids = Counter(r.id for s in period.sets for r in s.representations)
            for name, count in ids.items():
                if count > 1 or not name or re.search(r"\s", name):
                    yield Fault(period.where, f"Representation id {name[:40]!r} {count} times", "once, without blanks")


@must("ISO/IEC 23009-1 5.3.3.2")
def set_ids_unique(tree: Tree) -> Faults:
    """No two AdaptationSets of a Period have the same @id."""
    for found in mpds(tree):
        for period in found.periods:
            ids = Counter(s.attributes["id"] for s in period.sets if "id" in s.attributes)
            for name, count in ids.items():
                if count > 1:
                    yield Fault(period.where, f"AdaptationSet id {name[:40]} {count} times", "once")


@must("ISO/IEC 23009-1 5.3.5.2")
def representation_bandwidth(tree: Tree) -> Faults:
    """Every Representation has a positive @bandwidth."""
    for found in mpds(tree):
        for representation in found.representations:
            if not representation.integer("bandwidth"):
                yield Fault(
                    representation.where, f"@bandwidth {representation.attributes.get('bandwidth', 'missing')[:20]}"
                )


@must("ISO/IEC 23009-1 5.3.7.2", "DASH-IF IOP 3.2.4")
def representation_mime(tree: Tree) -> Faults:
    """Every Representation has a @mimeType; video and audio are in MP4, not in a transport stream."""
    for found in mpds(tree):
        for group in found.sets:
            for representation in group.representations:
                mime = representation.attributes.get("mimeType", "")
                if not mime or mime != _MIME.get(group.media, mime):
                    yield Fault(representation.where, f"@mimeType {mime[:40] or 'missing'}", _MIME.get(group.media, ""))


@must("DASH-IF IOP 3.2.4")
def representation_codecs(tree: Tree) -> Faults:
    """Every Representation of video and audio has @codecs."""
    for found in mpds(tree):
        for group in found.sets:
            for representation in group.representations:
                if group.media in ("video", "audio") and not representation.codecs:
                    yield Fault(representation.where, "no @codecs")


@must("DASH-IF IOP 3.2.4")
def video_attributes(tree: Tree) -> Faults:
    """Video has @width, @height and @frameRate."""
    for found in mpds(tree):
        for group in found.sets:
            for r in group.representations if group.media == "video" else ():
                missing = [n for n in ("width", "height") if not r.integer(n)] + ([] if r.rate() else ["frameRate"])
                if missing:
                    yield Fault(r.where, f"no @{', no @'.join(missing)}")


@must("ISO/IEC 23009-1 5.3.3.2")
def set_limits_hold(tree: Tree) -> Faults:
    """Least and greatest @width, @height, @frameRate and @bandwidth that an AdaptationSet states hold in it."""
    for found in mpds(tree):
        for group in found.sets:
            for r in group.representations:
                for name in ("width", "height", "frameRate", "bandwidth"):
                    limit = name[0].upper() + name[1:]
                    least, most = (mpd.rate(group.attributes.get(f"{end}{limit}")) for end in ("min", "max"))
                    value = r.rate(name)
                    if value and ((least and value < least) or (most and value > most)):
                        yield Fault(r.where, f"@{name} {r.attributes[name]}", f"within @min{limit} and @max{limit}")


@must("ISO/IEC 23009-1 5.3.3.2")
def set_shape_holds(tree: Tree) -> Faults:
    """@par of an AdaptationSet is the shape of its pictures, but for the rounding to whole pixels."""
    for found in mpds(tree):
        for group in found.sets:
            shape = mpd.ratio(group.attributes.get("par"))
            for r in group.representations if shape else ():
                width, height, pixel = r.integer("width"), r.integer("height"), mpd.ratio(r.attributes.get("sar")) or 1
                if (
                    width
                    and height
                    and shape
                    and abs(shape * height - width * pixel) > 2 * max(Fraction(1), shape) + Fraction(width, 50)
                ):
                    yield Fault(r.where, f"{width}x{height}", f"@par {group.attributes['par'][:20]}")


@must("DASH-IF IOP 3.2.4")
def audio_attributes(tree: Tree) -> Faults:
    """Audio has @audioSamplingRate and an AudioChannelConfiguration."""
    for found in mpds(tree):
        for group in found.sets:
            for r in group.representations if group.media == "audio" else ():
                if not r.integer("audioSamplingRate"):
                    yield Fault(r.where, "no @audioSamplingRate")
                if not any(d.kind == "AudioChannelConfiguration" and d.value for d in r.descriptors):
                    yield Fault(r.where, "no AudioChannelConfiguration with a @value")


@must("ISO/IEC 23009-1 5.8.2")
def descriptors_have_a_scheme(tree: Tree) -> Faults:
    """Roles, properties and other descriptors have a @schemeIdUri."""
    for found in mpds(tree):
        for group in found.sets:
            rows = [(group.where, group.descriptors), *((r.where, r.descriptors) for r in group.representations)]
            for where, descriptors in rows:
                for d in descriptors:
                    if not d.scheme:
                        yield Fault(where, f"{d.kind} without a @schemeIdUri")


@should("DASH-IF IOP 3.2.4")
def audio_has_language(tree: Tree) -> Faults:
    """Audio and text have a @lang, and it is one of BCP 47."""
    for found in mpds(tree):
        for group in found.sets:
            lang = group.attributes.get("lang")
            if group.media in ("audio", "text") and (lang is None or not _LANGUAGE.fullmatch(lang)):
                yield Fault(group.where, f"@lang {lang[:20] if lang else 'missing'}")


@must("DASH-IF IOP 3.2.2")
def sets_are_aligned(tree: Tree) -> Faults:
    """AdaptationSets of video and audio have @segmentAlignment or @subsegmentAlignment."""
    for found in mpds(tree):
        for group in found.sets:
            values = [group.attributes.get(n, "false") for n in ("segmentAlignment", "subsegmentAlignment")]
            if group.media in ("video", "audio") and not any(v != "false" for v in values):
                yield Fault(group.where, "neither @segmentAlignment nor @subsegmentAlignment")


@must("DASH-IF IOP 3.2.2")
def sets_start_with_sap(tree: Tree) -> Faults:
    """AdaptationSets of video have @startWithSAP or @subsegmentStartsWithSAP 1 or 2."""
    for found in mpds(tree):
        for group in found.sets:
            for r in group.representations if group.media == "video" else ():
                values = [r.attributes.get(n) for n in ("startWithSAP", "subsegmentStartsWithSAP")]
                if not {"1", "2"} & set(values):
                    yield Fault(r.where, f"SAP {values[0] or values[1] or 'missing'}", "1 or 2")
                    break


@should("DASH-IF IOP 3.9.4")
def roles_are_known(tree: Tree) -> Faults:
    """Role of the DASH scheme has a value of ISO/IEC 23009-1 table 34."""
    known = {
        "main", "alternate", "supplementary", "commentary", "dub", "caption", "subtitle", "sign", "metadata",
        "forced-subtitle", "forced_subtitle", "description", "emergency", "enhanced-audio-intelligibility", "karaoke",
        "easyreader",
    }  # fmt: skip
    for found in mpds(tree):
        for group in found.sets:
            for value in group.values("Role", "urn:mpeg:dash:role:2011"):
                if value not in known:
                    yield Fault(group.where, f"Role {value[:30]}", "a role of the scheme")


RULES = rules_of(globals())
