"""The DASH manifest (ISO/IEC 23009-1, DASH-IF IOP): static, explicit addressing. Pure: values to text."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from xml.etree import ElementTree as ET  # writes only; nothing foreign is parsed

from raven import names
from raven.media.grid import round_nearest
from raven.media.presentation import AudioTrack, IframeTrack, Presentation, TextTrack, Track, VideoTrack, printable
from raven.media.sprites import Sheets

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
PROFILES = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"

CICP = ("ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients")


def duration(seconds: Fraction) -> str:
    """xs:duration in seconds, to the microsecond."""
    text = f"{round_nearest(seconds * 1_000_000) / 1_000_000:.6f}".rstrip("0").rstrip(".")
    return f"PT{text}S"


def _template(parent: ET.Element, track: Track, folder: str) -> None:
    template = ET.SubElement(
        parent,
        "SegmentTemplate",
        timescale=str(track.timescale),
        startNumber="1",
        initialization=f"{folder}/{names.INIT}",
        media=f"{folder}/seg-$Number%06d$.m4s",
    )
    timeline = ET.SubElement(template, "SegmentTimeline")
    start = {"t": "0"}
    for ticks, run in groupby(s.ticks for s in track.segments):
        repeats = len(list(run)) - 1
        attributes = {"d": str(ticks)} | ({"r": str(repeats)} if repeats else {})
        ET.SubElement(timeline, "S", start | attributes)
        start = {}


def _video(period: ET.Element, tracks: Sequence[VideoTrack], presentation: Presentation) -> None:
    """The adaptation set of one codec: players switch within it."""
    tracks = sorted(tracks, key=lambda t: t.average_bandwidth)
    top = max(tracks, key=lambda t: t.width * t.height)
    shape = Fraction(top.width, top.height)
    group = _segmented_set(
        period,
        "video",
        maxWidth=str(top.width),
        maxHeight=str(top.height),
        maxFrameRate=_rate(max(track.rate for track in tracks)),
        par=f"{shape.numerator}:{shape.denominator}",
    )
    if tracks[0].carries_captions:
        _captions(group, presentation.captions)
    if top.colour and top.video_range != "SDR":
        # a player that cannot show it must leave it (DASH-IF IOP 4.3, 10.3; ISO/IEC 23091-2)
        for name, value in zip(CICP, top.colour, strict=True):
            ET.SubElement(group, "EssentialProperty", schemeIdUri=f"urn:mpeg:mpegB:cicp:{name}", value=str(value))
    # all rungs have the same borders, whatever their rates: one timeline for all
    _template(group, tracks[0], names.video_path("$RepresentationID$"))
    for track in tracks:
        _pictures(group, track)


def _set(period: ET.Element, kind: str, mime_type: str, **attributes: str) -> ET.Element:
    """An adaptation set, numbered by its place in the period."""
    about = {"id": str(len(period)), "contentType": kind, "mimeType": mime_type}
    return ET.SubElement(period, "AdaptationSet", about | attributes)


def _segmented_set(period: ET.Element, kind: str, **attributes: str) -> ET.Element:
    """A set of representations that are cut at the same places, each segment beginning with an access point."""
    return _set(period, kind, f"{kind}/mp4", segmentAlignment="true", startWithSAP="1", **attributes)


def _pictures(group: ET.Element, track: VideoTrack, **attributes: str) -> None:
    about = {
        "id": track.name,
        "bandwidth": str(track.peak_bandwidth),
        "codecs": track.codec,
        "width": str(track.width),
        "height": str(track.height),
        "frameRate": _rate(track.rate),
        "sar": "1:1",
    }
    ET.SubElement(group, "Representation", about | attributes)


def _captions(group: ET.Element, channels: Sequence[str]) -> None:
    """Closed captions in the pictures (SCTE 214-1 7.2.1.1). The bitstream does not say their language."""
    line_21 = [f"{c}=und" for c in channels if c.startswith("CC")]
    services = [f"{c.removeprefix('SERVICE')}=lang:und" for c in channels if c.startswith("SERVICE")]
    for standard, value in (("608", line_21), ("708", services)):
        if value:
            scheme = f"urn:scte:dash:cc:cea-{standard}:2015"
            ET.SubElement(group, "Accessibility", schemeIdUri=scheme, value=";".join(value))


def _rate(rate: Fraction) -> str:
    return str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"


def _audio(period: ET.Element, tracks: Sequence[AudioTrack]) -> None:
    """The adaptation set of one track with one number of channels: players switch within it."""
    one = tracks[0]
    group = _segmented_set(period, "audio", lang=one.language)
    role = "main" if one.default else "description" if one.describes else "alternate"
    ET.SubElement(group, "Label").text = printable(one.label)  # before Accessibility and Role, says the schema
    if one.describes:  # 1: for the visually impaired (ETSI TS 103 285 10.2.4)
        ET.SubElement(group, "Accessibility", schemeIdUri="urn:tva:metadata:cs:AudioPurposeCS:2007", value="1")
    ET.SubElement(group, "Role", schemeIdUri="urn:mpeg:dash:role:2011", value=role)
    _template(group, one, names.audio_path("$RepresentationID$"))  # all are cut at the same packets
    for track in sorted(tracks, key=lambda t: t.average_bandwidth):
        representation = ET.SubElement(
            group,
            "Representation",
            id=track.name,
            bandwidth=str(track.peak_bandwidth),
            codecs=track.codec,
            audioSamplingRate=str(track.sample_rate),
        )
        ET.SubElement(
            representation,
            "AudioChannelConfiguration",
            schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011",
            value=str(track.channels),
        )


def _trick_mode(period: ET.Element, track: IframeTrack, rate: Fraction) -> None:
    """The I-frames as a set of their own that belongs to all other video (DASH-IF IOP 4.3, 3.2.9)."""
    mains = " ".join(other.get("id", "") for other in period.iterfind("AdaptationSet[@contentType='video']"))
    group = _segmented_set(period, "video")
    ET.SubElement(group, "EssentialProperty", schemeIdUri="http://dashif.org/guidelines/trickmode", value=mains)
    _template(group, track, names.IFRAMES)
    _pictures(
        group,
        track,
        maxPlayoutRate=str(int(rate / track.rate)),  # then a decoder has as many frames a second as the rungs have
        codingDependency="false",
    )


def _text(period: ET.Element, track: TextTrack) -> None:
    """Subtitles as one WebVTT file beside the segments (DASH-IF IOP 6.4.4: side-loaded)."""
    group = _set(period, "text", "text/vtt", lang=track.language)
    ET.SubElement(group, "Label").text = printable(track.label)
    role = "forced-subtitle" if track.forced else "caption" if track.hearing_impaired else "subtitle"
    ET.SubElement(group, "Role", schemeIdUri="urn:mpeg:dash:role:2011", value=role)
    seconds = sum((s.duration for s in track.segments), Fraction(0))
    bandwidth = -(-8 * track.whole // seconds)
    # an audio track may have the same name, and ids are unique in the period
    representation = ET.SubElement(group, "Representation", id=f"text-{track.name}", bandwidth=str(bandwidth))
    ET.SubElement(representation, "BaseURL").text = f"{names.text_path(track.name)}/{names.WHOLE_TEXT}"


def _thumbnails(period: ET.Element, sheets: Sheets) -> None:
    """The sprite sheets as a set of tiled images (DASH-IF IOP 4.3, 6.2.6).

    All sheets have one duration, also the last one, whose rest is beyond the end.
    """
    sprites = sheets.sprites
    group = _set(period, "image", "image/jpeg")
    ET.SubElement(
        group,
        "SegmentTemplate",
        timescale=str(sprites.sheet_seconds.denominator),
        duration=str(sprites.sheet_seconds.numerator),
        startNumber="0",
        media=f"{names.THUMBS}/sprite-$Number%03d$.jpg",
    )
    sheet = ET.SubElement(
        group,
        "Representation",
        id=names.THUMBS,
        bandwidth=str(sheets.bandwidth),
        width=str(sprites.width * sprites.columns),
        height=str(sprites.height * sprites.rows),
    )
    tiling = f"{sprites.columns}x{sprites.rows}"
    ET.SubElement(sheet, "EssentialProperty", schemeIdUri="http://dashif.org/guidelines/thumbnail_tile", value=tiling)


def mpd(presentation: Presentation) -> str:
    """The MPD of a presentation."""
    tracks: list[Track] = [*presentation.video, *presentation.audio]
    longest = max(s.duration for track in tracks for s in track.segments)
    root = ET.Element(
        "MPD",
        xmlns=NAMESPACE,
        type="static",
        profiles=PROFILES,
        mediaPresentationDuration=duration(presentation.duration),
        maxSegmentDuration=duration(longest),
        minBufferTime=duration(longest),  # with @bandwidth the peak of any segment, one segment ahead is enough
    )
    period = ET.SubElement(root, "Period", id="0", start="PT0S")
    for codec in dict.fromkeys((track.family, track.video_range) for track in presentation.video):
        _video(period, [t for t in presentation.video if (t.family, t.video_range) == codec], presentation)
    for kind in dict.fromkeys((track.source, track.channels) for track in presentation.audio):
        _audio(period, [track for track in presentation.audio if (track.source, track.channels) == kind])
    for text in presentation.text:
        _text(period, text)
    if presentation.iframes and presentation.rate:
        _trick_mode(period, presentation.iframes, presentation.rate)
    if presentation.sheets:
        _thumbnails(period, presentation.sheets)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
