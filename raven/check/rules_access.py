"""Rules of sound and text: loudness, description, subtitles for the deaf (Apple chapters 2, 4, 5, 8). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from raven.check.m3u8 import Tag
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import at, combination
from raven.check.tree import Track, Tree
from raven.check.vtt import Cue

_DESCRIBES = "public.accessibility.describes-video"
_DEAF = ("public.accessibility.transcribes-spoken-dialog", "public.accessibility.describes-music-and-sound")
_ROLE, _PURPOSE = "urn:mpeg:dash:role:2011", "urn:tva:metadata:cs:AudioPurposeCS:2007"
_HE_AAC = ("mp4a.40.5", "mp4a.40.29")
_SOUNDS = ("mp4a", "ac-3", "ec-3", "opus", "Opus", "fLaC", "alac")
_RATES = {"mp4a": {2: (32, 160), 6: (0, 320)}, "ac-3": {6: (0, 384)}}
"""kbit/s by sample entry and channels (Apple 2.9)."""


def _audio(tree: Tree) -> Iterator[Track]:
    return (track for track in tree.hls if track.media == "audio" and track.init)


@should("Apple 2.9", choice=True)
def audio_rates_are_usual(tree: Tree) -> Faults:
    """Stereo AAC has 32 to 160 kbit/s, 5.1 in AAC at most 320, in AC-3 384."""
    for track in _audio(tree):
        init, rate = track.init, track.average / 1000
        least, most = _RATES.get(init.entry, {}).get(init.channels, (0, 0)) if init else (0, 0)
        if most and rate and not least * 9 / 10 <= rate <= most * 11 / 10:  # an encoder hits its target by and large
            yield Fault(track.where, f"{round(rate)} kbit/s with {init.channels if init else 0} channels", f"to {most}")


@must("Apple 2.12")
def descriptions_are_marked(tree: Tree) -> Faults:
    """Sound that the MPD calls a description of the video has CHARACTERISTICS that say so in HLS."""
    described = {
        segment.resource
        for group in (tree.mpd.sets if tree.mpd else ())
        if "description" in group.values("Role", _ROLE) or "1" in group.values("Accessibility", _PURPOSE)
        for track in tree.in_set(group)
        for segment in track.segments
    }
    for tag in tree.renditions if described else ():
        sound = tree.track_of(tag.text("URI")) if tag.text("TYPE") == "AUDIO" else None
        same = sound and any(segment.resource in described for segment in sound.segments)
        if same and _DESCRIBES not in _characteristics(tag):
            yield Fault(at(tree, tag), "a description of the video without CHARACTERISTICS", _DESCRIBES)


def _characteristics(tag: Tag) -> list[str]:
    return (tag.text("CHARACTERISTICS") or "").split(",")


@should("Apple 2.19", "Apple 2.18", "Apple 2.21")
def loudness_is_told(tree: Tree) -> Faults:
    """Sound in fragmented MP4 has a loudness box (ludt), but for AC-3 and E-AC-3, whose frames tell it."""
    for track in _audio(tree):
        if track.init and track.init.entry not in ("ac-3", "ec-3") and not track.init.loudness:
            yield Fault(track.where, "no ludt in its init segment")


@must("Apple 2.24")
def he_aac_is_explicit(tree: Tree) -> Faults:
    """What CODECS calls HE-AAC tells its SBR in the configuration."""
    for tag, track in tree.variants:
        declared = [codec for codec in tag.codecs if codec in _HE_AAC]
        parts = [t for row in combination(tree, tag, track) for t in row] if track and declared else []
        sounds = [t for t in parts if t.init and t.init.entry == "mp4a"]
        if sounds and not any(t.init.codec.sbr for t in sounds if t.init):
            yield Fault(at(tree, tag), f"{declared[0]}, {sounds[0].where} does not tell its SBR", "explicit signalling")


@must("Apple 4.5")
def deaf_subtitles_are_marked(tree: Tree) -> Faults:
    """Subtitles for the deaf have both of the CHARACTERISTICS that mark them."""
    for tag in tree.renditions:
        found = [name for name in _DEAF if name in _characteristics(tag)]
        if tag.text("TYPE") == "SUBTITLES" and len(found) == 1:
            yield Fault(at(tree, tag), f"CHARACTERISTICS {found[0]} alone", ",".join(_DEAF))


@must("Apple 5.8", choice=True)
def forced_are_in_regular(tree: Tree) -> Faults:
    """The regular subtitles of a language have what the forced ones of that language say."""
    tags = [tag for tag in tree.renditions if tag.text("TYPE") == "SUBTITLES"]
    forced = [tag for tag in tags if tag.text("FORCED") == "YES"]
    for tag in tags if forced else ():
        for other in forced if tag not in forced else ():
            if (tag.text("GROUP-ID"), tag.text("LANGUAGE")) == (other.text("GROUP-ID"), other.text("LANGUAGE")):
                here = _cues(tree, tag)
                missing = next((cue for cue in _cues(tree, other) if here and not _said(cue, here)), None)
                if missing:
                    found = f"{missing.words[:40]!r} at {float(missing.start):.3f} s is forced, and not here"
                    yield Fault(at(tree, tag), found)


def _cues(tree: Tree, tag: Tag) -> list[Cue]:
    track = tree.track_of(tag.text("URI"))
    found = [tree.texts.get(timed.resource.path) for timed in track.segments] if track else []
    cues = {cue for vtt in found if vtt for cue in vtt.cues if cue.words}  # one stands in each segment that it touches
    return sorted(cues, key=lambda cue: (cue.start, cue.end))


def _said(cue: Cue, among: list[Cue]) -> bool:
    words = " ".join(other.words for other in among if other.start < cue.end and cue.start < other.end)
    return cue.words in words


@must("Apple 8.9")
def audio_is_by_media(tree: Tree) -> Faults:
    """A variant whose CODECS has sound that its own playlist has not names it by EXT-X-MEDIA."""
    for tag, track in tree.variants:
        picture = track and track.media == "video" and track.init and track.init.tracks == 1
        if picture and any(c.startswith(_SOUNDS) for c in tag.codecs) and not tree.group("AUDIO", tag.text("AUDIO")):
            yield Fault(at(tree, tag), f"CODECS {','.join(tag.codecs)}, no sound in its playlist", "an AUDIO group")


RULES = rules_of(globals())
