"""Rules of every playlist by itself: RFC 8216 4.1 to 4.3.3 and 7, and Apple's for VOD. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from raven.check.m3u8 import DECIMAL, INTEGER, SEGMENT_TAGS, VARIANT_TAGS, Playlist, Tag
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Tree

_ONCE = (
    "EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE", "EXT-X-ENDLIST", "EXT-X-I-FRAMES-ONLY", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START",
)  # fmt: skip
_FAIRPLAY = "com.apple.streamingkeydelivery"
_METHODS = frozenset({"NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"})


def _all(tree: Tree) -> Iterator[Playlist]:
    if tree.multivariant:
        yield tree.multivariant
    yield from tree.playlists.values()


def _at(playlist: Playlist, tag: Tag | int) -> str:
    return f"{playlist.path} line {tag if isinstance(tag, int) else tag.line}"


@must("RFC 8216 4.3.1.1")
def playlist_header(tree: Tree) -> Faults:
    """The first line of every playlist is #EXTM3U."""
    for playlist in _all(tree):
        if not playlist.headed:
            yield Fault(_at(playlist, 1), "another first line", "#EXTM3U")


@must("RFC 8216 4.2")
def playlist_syntax(tree: Tree) -> Faults:
    """Attribute lists, byte ranges and durations are well formed, and no attribute stands twice in a list."""
    for playlist in _all(tree):
        for fault in playlist.faults:
            yield Fault(_at(playlist, fault.line), fault.found)


@must("RFC 8216 4.3")
def playlist_one_kind(tree: Tree) -> Faults:
    """A playlist has the tags of a media playlist or those of a multivariant one, never both."""
    for playlist in _all(tree):
        if not VARIANT_TAGS.isdisjoint(playlist.by_name) and not SEGMENT_TAGS.isdisjoint(playlist.by_name):
            yield Fault(playlist.path, "tags of media playlists and of multivariant playlists")


@must("RFC 8216 4.3.3", "RFC 8216 4.3.1.2", "RFC 8216 4.3.5")
def playlist_tags_once(tree: Tree) -> Faults:
    """A tag about the whole playlist stands in it once at most."""
    for playlist in _all(tree):
        for name in _ONCE:
            found = playlist.all(name)
            if len(found) > 1:
                yield Fault(_at(playlist, found[1]), f"#{name} for the second time")


def _needs(playlist: Playlist) -> Iterator[tuple[int, str]]:
    """RFC 8216 7."""
    if any("." in tag.value for tag in playlist.all("EXTINF")):
        yield 3, "decimal EXTINF"
    if playlist.all("EXT-X-BYTERANGE"):
        yield 4, "EXT-X-BYTERANGE"
    if playlist.iframes_only:
        yield 4, "EXT-X-I-FRAMES-ONLY"
    if playlist.all("EXT-X-MAP"):
        yield (5, "EXT-X-MAP") if playlist.iframes_only else (6, "EXT-X-MAP outside of an I-frame playlist")
    for key in playlist.all("EXT-X-KEY"):
        if "IV" in key.attributes:
            yield 2, "an IV"
        if "KEYFORMAT" in key.attributes or "KEYFORMATVERSIONS" in key.attributes:
            yield 5, "KEYFORMAT"
    if any((t.text("INSTREAM-ID") or "").startswith("SERVICE") for t in playlist.all("EXT-X-MEDIA")):
        yield 7, "INSTREAM-ID SERVICE"


@must("RFC 8216 7")
def playlist_version(tree: Tree) -> Faults:
    """EXT-X-VERSION is a number and not below what the tags of the playlist need."""
    for playlist in _all(tree):
        tag = playlist.first("EXT-X-VERSION")
        version = playlist.integer("EXT-X-VERSION") or 1
        if tag and not INTEGER.fullmatch(tag.value):
            yield Fault(_at(playlist, tag), f"#EXT-X-VERSION:{tag.value[:20]}", "a number")
        for needed, what in _needs(playlist):
            if version < needed:
                yield Fault(_at(playlist, tag or 1), f"version {version} with {what}", f"{needed} or more")
                break


@must("RFC 8216 4.3.3.1")
def target_duration_given(tree: Tree) -> Faults:
    """Every media playlist has an EXT-X-TARGETDURATION that is an integer."""
    for playlist in tree.playlists.values():
        if playlist.target is None:
            found = playlist.first("EXT-X-TARGETDURATION")
            yield Fault(
                playlist.path, f"#EXT-X-TARGETDURATION:{found.value[:20]}" if found else "no EXT-X-TARGETDURATION"
            )


@must("RFC 8216 4.3.3.1")
def extinf_within_target(tree: Tree) -> Faults:
    """Every EXTINF, rounded to the nearest integer, is at most the target duration."""
    for playlist in tree.playlists.values():
        target = playlist.target
        for segment in playlist.segments:
            lasts = segment.duration
            if target is None or lasts is None:
                continue
            if 2 * lasts.numerator >= (2 * target + 1) * lasts.denominator:  # whole numbers: there are thousands
                wanted = f"at most {target} when rounded"
                yield Fault(_at(playlist, segment.line), f"EXTINF {float(lasts):.6f}", wanted)


@must("RFC 8216 4.3.2.1")
def extinf_on_each_segment(tree: Tree) -> Faults:
    """Every media segment has an EXTINF."""
    for playlist in tree.playlists.values():
        for segment in playlist.segments:
            if segment.duration is None:
                yield Fault(_at(playlist, segment.line), f"{segment.uri[:80]} has no EXTINF")


@must("RFC 8216 4.3.3.2", "RFC 8216 4.3.3.3")
def sequence_before_segments(tree: Tree) -> Faults:
    """EXT-X-MEDIA-SEQUENCE and EXT-X-DISCONTINUITY-SEQUENCE are integers and stand before the first segment."""
    for playlist in tree.playlists.values():
        first = min((s.line for s in playlist.segments), default=1 << 60)
        for name in ("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"):
            for tag in playlist.all(name):
                if not INTEGER.fullmatch(tag.value) or tag.line > first:
                    yield Fault(_at(playlist, tag), f"#{name}:{tag.value[:20]}", "an integer, before the first segment")


@must("RFC 8216 4.1")
def playlist_has_segments(tree: Tree) -> Faults:
    """A media playlist lists segments."""
    for playlist in tree.playlists.values():
        if not playlist.segments:
            yield Fault(playlist.path, "no segment")


@must("RFC 8216 4.3.3.4", "RFC 8216 6.2.1")
def vod_is_ended(tree: Tree) -> Faults:
    """A playlist of type VOD ends with EXT-X-ENDLIST, as it can never change."""
    for playlist in tree.playlists.values():
        if playlist.first("EXT-X-ENDLIST") is None:
            yield Fault(playlist.path, "no EXT-X-ENDLIST")


@must("Apple 8.6")
def vod_is_declared(tree: Tree) -> Faults:
    """A media playlist of static content has EXT-X-PLAYLIST-TYPE VOD."""
    for playlist in tree.playlists.values():
        found = playlist.first("EXT-X-PLAYLIST-TYPE")
        if found is None or found.value != "VOD":
            yield Fault(playlist.path, f"type {found.value[:20]}" if found else "no EXT-X-PLAYLIST-TYPE", "VOD")


@must("RFC 8216 4.3.2.5")
def map_has_uri(tree: Tree) -> Faults:
    """Every EXT-X-MAP has a quoted URI."""
    for playlist in tree.playlists.values():
        for tag in playlist.all("EXT-X-MAP"):
            if not tag.attributes.get("URI", "").startswith('"'):
                yield Fault(_at(playlist, tag), "EXT-X-MAP without a quoted URI")


@must("RFC 8216 4.3.2.4")
def key_is_sound(tree: Tree) -> Faults:
    """Every EXT-X-KEY has a METHOD that RFC 8216 knows, with a URI, or NONE and nothing else."""
    for playlist in tree.playlists.values():
        for tag in playlist.all("EXT-X-KEY"):
            method = tag.text("METHOD") or ""
            if method not in _METHODS:
                yield Fault(_at(playlist, tag), f"METHOD {method[:20] or 'missing'}", "NONE, AES-128 or SAMPLE-AES")
            elif method == "NONE" and len(tag.attributes) > 1:
                yield Fault(_at(playlist, tag), "METHOD=NONE with more attributes")
            elif method != "NONE" and not tag.text("URI"):
                yield Fault(_at(playlist, tag), f"METHOD={method} without a URI")


@must("Apple 13.11")
def no_sample_aes_ctr(tree: Tree) -> Faults:
    """SAMPLE-AES-CTR is not used."""
    for playlist in tree.playlists.values():
        for tag in playlist.all("EXT-X-KEY"):
            if tag.text("METHOD") == "SAMPLE-AES-CTR":
                yield Fault(_at(playlist, tag), "METHOD=SAMPLE-AES-CTR", "SAMPLE-AES (cbcs)")


@must("Apple 13.2")
def fairplay_is_sample_aes(tree: Tree) -> Faults:
    """What FairPlay protects has METHOD SAMPLE-AES."""
    for playlist in tree.playlists.values():
        for tag in playlist.all("EXT-X-KEY"):
            if tag.text("KEYFORMAT") == _FAIRPLAY and tag.text("METHOD") != "SAMPLE-AES":
                yield Fault(_at(playlist, tag), f"FairPlay with METHOD {tag.text('METHOD')}", "SAMPLE-AES")


@must("Apple 13.3")
def fairplay_has_its_format(tree: Tree) -> Faults:
    """A key of FairPlay (skd:) has KEYFORMAT com.apple.streamingkeydelivery."""
    for playlist in _all(tree):
        for tag in (*playlist.all("EXT-X-KEY"), *playlist.all("EXT-X-SESSION-KEY")):
            if (tag.text("URI") or "").startswith("skd:") and tag.text("KEYFORMAT") != _FAIRPLAY:
                yield Fault(_at(playlist, tag), f"KEYFORMAT {tag.text('KEYFORMAT') or 'missing'}", _FAIRPLAY)


@must("RFC 8216 4.3.2.7")
def daterange_is_sound(tree: Tree) -> Faults:
    """Every EXT-X-DATERANGE has ID and START-DATE, and the playlist an EXT-X-PROGRAM-DATE-TIME."""
    for playlist in tree.playlists.values():
        for tag in playlist.all("EXT-X-DATERANGE"):
            if not tag.text("ID") or not tag.text("START-DATE"):
                yield Fault(_at(playlist, tag), "EXT-X-DATERANGE without ID or START-DATE")
            elif playlist.first("EXT-X-PROGRAM-DATE-TIME") is None:
                yield Fault(_at(playlist, tag), "EXT-X-DATERANGE in a playlist without EXT-X-PROGRAM-DATE-TIME")


@should("RFC 8216 4.3.5.2")
def start_is_inside(tree: Tree) -> Faults:
    """TIME-OFFSET of an EXT-X-START lies within the playlist."""
    for playlist in tree.playlists.values():
        for tag in playlist.all("EXT-X-START"):
            if not DECIMAL.fullmatch(tag.attributes.get("TIME-OFFSET", "")):
                yield Fault(_at(playlist, tag), "EXT-X-START without a TIME-OFFSET")
            elif abs(tag.number("TIME-OFFSET") or Fraction(0)) > playlist.duration:
                wanted = f"at most {float(playlist.duration):.3f} s"
                yield Fault(_at(playlist, tag), f"TIME-OFFSET {tag.attributes['TIME-OFFSET']}", wanted)


@should("Apple 7.5")
def target_is_six_seconds(tree: Tree) -> Faults:
    """The target duration of audio and video is 6 s."""
    for track in tree.hls:
        target = track.playlist.target if track.playlist else None
        if track.media in ("video", "audio") and target not in (None, 6) and track.duration >= 6:
            yield Fault(track.where, f"target duration {target}", "6")


@should("Apple 7.6")
def segments_are_six_seconds(tree: Tree) -> Faults:
    """Segments of audio and video last nominally 6 s, but for the last one."""
    for track in tree.hls:
        if track.media in ("video", "audio"):
            for segment in track.segments[:-1]:
                if not 5 <= segment.duration <= 7:
                    yield Fault(segment.where, f"EXTINF {float(segment.duration):.3f}", "about 6")
                    break


@must("Apple 7.7")
def segments_near_target(tree: Tree) -> Faults:
    """No segment is longer than the target duration by more than 0.5 s."""
    for track in tree.hls:
        target = track.playlist.target if track.playlist else None
        if target is None or track.media == "iframes":
            continue
        for segment in track.segments:
            lasts = segment.seconds or segment.duration
            if 2 * lasts.numerator > (2 * target + 1) * lasts.denominator:
                yield Fault(segment.where, f"{float(lasts):.3f} s", f"at most {target + 0.5} s")


RULES = rules_of(globals())
