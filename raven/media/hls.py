"""HLS playlists (RFC 8216, Apple's HLS authoring specification). Pure: values to text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from raven import names
from raven.media.grid import round_nearest
from raven.media.presentation import (
    AudioTrack,
    IframeTrack,
    Presentation,
    TextTrack,
    Track,
    VideoTrack,
    groups,
    groups_of,
    printable,
)

VERSION = 7  # RFC 8216 7: EXT-X-MAP needs 6; 7 is what CMAF players are tested with
TEXT_GROUP = "subtitles"
CAPTION_GROUP = "captions"
TRANSCRIBES = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
"""CHARACTERISTICS of subtitles for the deaf and hard of hearing (Apple 4.5)."""
DESCRIBES = "public.accessibility.describes-video"
"""CHARACTERISTICS of audio description (Apple 2.12)."""


def _seconds(duration: Fraction) -> str:
    """Microseconds: any run of segments sums to the truth within a frame (Apple 8.1)."""
    return f"{round_nearest(duration * 1_000_000) / 1_000_000:.6f}"


def target_duration(presentation: Presentation) -> int:
    """One target for audio and video alike (Apple 8.2), not below any rounded EXTINF (RFC 8216 4.3.3.1)."""
    tracks = [*presentation.video, *presentation.audio]
    return max(1, *(round_nearest(s.duration) for track in tracks for s in track.segments))


def media_playlist(durations: Sequence[Fraction], target: int) -> str:
    """The VOD playlist of one track."""
    return "\n".join([*_playlist(durations, target, "VOD"), "#EXT-X-ENDLIST", ""])


def event_playlist(durations: Sequence[Fraction], target: int) -> str:
    """The playlist of a track that is still being made: it grows until the VOD playlist takes its place.

    Players take it for live and would begin near its end; EXT-X-START has them begin at the beginning: within its first
    frame, as shaka-player takes 0 for not told.
    """
    head, *segments = _playlist(durations, target, "EVENT")
    return "\n".join([head, "#EXT-X-START:TIME-OFFSET=0.001,PRECISE=YES", *segments, ""])


def _playlist(durations: Sequence[Fraction], target: int, kind: str) -> list[str]:
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        f"#EXT-X-PLAYLIST-TYPE:{kind}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{names.INIT}"',
    ]
    for number, duration in enumerate(durations, 1):
        lines += [f"#EXTINF:{_seconds(duration)},", names.segment_name(number)]
    return lines


def iframe_playlist(track: IframeTrack) -> str:
    """The playlist of I-frames alone, each a byte range that is a whole fragment (RFC 8216 4.3.3.6, Apple 6.8, 6.10).

    Its target duration is its own (Apple 6.12).
    """
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{max(1, *(round_nearest(f.duration) for f in track.frames))}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-I-FRAMES-ONLY",
        f'#EXT-X-MAP:URI="{names.INIT}"',
    ]
    for f in track.frames:
        lines += [f"#EXTINF:{_seconds(f.duration)},", f"#EXT-X-BYTERANGE:{f.bytes}@{f.offset}"]
        lines.append(names.segment_name(f.segment))
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def text_playlist(track: TextTrack) -> str:
    """The VOD playlist of a text track. Its target duration is its own (Apple 5.7), and no init segment is there."""
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{max(1, *(round_nearest(s.duration) for s in track.segments))}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]
    for number, segment in enumerate(track.segments, 1):
        lines += [f"#EXTINF:{_seconds(segment.duration)},", names.text_segment_name(number)]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


@dataclass(frozen=True)
class _Attributes:
    pairs: tuple[tuple[str, str | None], ...]

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.pairs if value is not None)


def _quoted(text: str) -> str:
    """A quoted-string, which cannot hold quotes or line breaks (RFC 8216 4.2)."""
    return '"' + printable(text.replace('"', "'")) + '"'


def _media(group: str, track: AudioTrack) -> str:
    return "#EXT-X-MEDIA:" + str(
        _Attributes(
            (
                ("TYPE", "AUDIO"),
                ("GROUP-ID", _quoted(group)),
                ("NAME", _quoted(track.label)),
                ("LANGUAGE", _quoted(track.language)),
                ("DEFAULT", "YES" if track.default else "NO"),
                ("AUTOSELECT", "YES"),  # audio description must have it (Apple 2.13)
                ("CHARACTERISTICS", _quoted(DESCRIBES) if track.describes else None),
                ("CHANNELS", _quoted(str(track.channels))),
                ("URI", _quoted(f"{names.audio_path(track.name)}/{names.PLAYLIST}")),
            )
        )
    )


def _subtitles(track: TextTrack) -> str:
    """A text track. None is the default: containers mark any track as that, Matroska all that say nothing else."""
    return "#EXT-X-MEDIA:" + str(
        _Attributes(
            (
                ("TYPE", "SUBTITLES"),
                ("GROUP-ID", _quoted(TEXT_GROUP)),
                ("NAME", _quoted(track.label)),
                ("LANGUAGE", _quoted(track.language)),
                ("DEFAULT", "NO"),
                ("AUTOSELECT", "YES"),  # by the viewer's languages; forced ones must have it (Apple 5.11)
                ("FORCED", "YES" if track.forced else "NO"),
                ("CHARACTERISTICS", _quoted(TRANSCRIBES) if track.hearing_impaired else None),
                ("URI", _quoted(f"{names.text_path(track.name)}/{names.PLAYLIST}")),
            )
        )
    )


def _captions(channel: str) -> str:
    """Closed captions in the pictures (Apple 4.4). The bitstream does not say their language."""
    return "#EXT-X-MEDIA:" + str(
        _Attributes(
            (
                ("TYPE", "CLOSED-CAPTIONS"),
                ("GROUP-ID", _quoted(CAPTION_GROUP)),
                ("NAME", _quoted(channel)),
                ("LANGUAGE", _quoted("und")),
                ("DEFAULT", "NO"),
                ("AUTOSELECT", "YES"),
                ("INSTREAM-ID", _quoted(channel)),
            )
        )
    )


def _captions_of(video: VideoTrack | None, presentation: Presentation) -> str | None:
    """NONE keeps players from looking for captions; it stands at all variants or at none (RFC 8216 4.3.4.2)."""
    if not presentation.captions:
        return "NONE"
    return _quoted(CAPTION_GROUP) if video and video.carries_captions else None


def _variant(
    presentation: Presentation, video: VideoTrack | None, group: str | None = None, audio: Sequence[AudioTrack] = ()
) -> list[str]:
    """A variant stream. BANDWIDTH is the largest sum of peaks of a playable combination (Apple 9.13)."""
    parts: tuple[Sequence[Track], ...] = ([video] if video else [], audio, presentation.text)
    peak = sum(max((track.peak_bandwidth for track in part), default=0) for part in parts)
    average = sum(max((track.average_bandwidth for track in part), default=0) for part in parts)
    codecs = dict.fromkeys(track.codec for part in parts[:2] for track in part)
    attributes = _Attributes(
        (
            ("BANDWIDTH", str(peak)),
            ("AVERAGE-BANDWIDTH", str(average)),
            ("CODECS", _quoted(",".join(codecs))),
            ("RESOLUTION", f"{video.width}x{video.height}" if video else None),
            ("FRAME-RATE", f"{float(video.rate):.3f}" if video else None),
            ("VIDEO-RANGE", _video_range(presentation, video)),
            ("AUDIO", _quoted(group) if group else None),
            ("SUBTITLES", _quoted(TEXT_GROUP) if presentation.text else None),
            ("CLOSED-CAPTIONS", _captions_of(video, presentation)),
        )
    )
    path = names.video_path(video.name) if video else names.audio_path(audio[0].name)
    return [f"#EXT-X-STREAM-INF:{attributes}", f"{path}/{names.PLAYLIST}"]


def _video_range(presentation: Presentation, video: VideoTrack | None) -> str | None:
    """Stated by all or by none (Apple 9.16)."""
    several = any(track.video_range != "SDR" for track in presentation.video)
    return video.video_range if video and several else None


def _iframe_stream(presentation: Presentation, track: IframeTrack) -> str:
    """The I-frame playlist among the variants (RFC 8216 4.3.4.3, Apple 6.1, 9.3, 9.4)."""
    return "#EXT-X-I-FRAME-STREAM-INF:" + str(
        _Attributes(
            (
                ("BANDWIDTH", str(track.peak_bandwidth)),
                ("AVERAGE-BANDWIDTH", str(track.average_bandwidth)),
                ("CODECS", _quoted(track.codec)),
                ("RESOLUTION", f"{track.width}x{track.height}"),
                ("VIDEO-RANGE", _video_range(presentation, track)),
                ("URI", _quoted(f"{names.IFRAMES}/{names.PLAYLIST}")),
            )
        )
    )


def multivariant(presentation: Presentation) -> str:
    """The multivariant playlist. The first variant, which players start with, is the H.264 one nearest to 2 Mbit/s."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    sound = groups(presentation.audio)
    lines += [_media(group, track) for group, tracks in sound.items() for track in tracks]
    lines += [_subtitles(track) for track in presentation.text]
    lines += [_captions(channel) for channel in presentation.captions]
    # Apple 1.32: the default variant is about 2000 kbit/s
    first = min(
        presentation.video, key=lambda v: (v.family != "avc1", abs(v.average_bandwidth - 2_000_000)), default=None
    )
    for video in sorted(presentation.video, key=lambda v: v is not first):
        for group in groups_of(video, presentation):
            lines += _variant(presentation, video, group, sound[group])
        if not sound:
            lines += _variant(presentation, video)
    if not presentation.video:
        for group, tracks in sound.items():
            lines += _variant(presentation, None, group, tracks)
    if presentation.iframes:
        lines.append(_iframe_stream(presentation, presentation.iframes))
    return "\n".join([*lines, ""])
