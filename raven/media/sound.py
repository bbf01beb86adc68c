"""Sound: which renditions a track gets, and the ffmpeg that makes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from raven.media.command import COMMON, INPUT, MP4
from raven.media.filters import SHIFT
from raven.model import AudioFacts, AudioRendition

AUDIO_OFFSET = 1
"""Seconds that an encoded track is late in the encoder's file; the cut into segments takes them off."""
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
MIXABLE = frozenset(
    (
        "mono", "stereo", "downmix", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "5.0", "5.0(side)",
        "4.1", "5.1", "5.1(side)", "6.0", "6.0(front)", "3.1.2", "hexagonal", "6.1", "6.1(back)", "6.1(front)", "7.0",
        "7.0(front)", "7.1", "7.1(wide)", "7.1(wide-side)", "5.1.2", "5.1.2(back)", "octagonal", "cube", "5.1.4",
        "7.1.2", "7.1.4", "7.2.3", "9.1.4", "9.1.6", "hexadecagonal", "22.2",
    )
)  # fmt: skip
"""The layouts that libswresample can mix down."""
CEILING = 0.9
"""Of a sum of channels, -0.9 dBFS: what AAC adds to peaks must fit in too."""


def renditions_of(audio: Sequence[AudioRendition], track: AudioFacts) -> dict[str, AudioRendition]:
    """What is made of a track, by the name of its folder: the first rendition, and those that suit its channels.

    5.1 is made of sources with five channels and more (Apple 2.26), as the channel of effects may be missing.
    """
    suiting = [r for r in audio if r is audio[0] or r.channels <= 2 or track.channels >= r.channels - 1]
    return {track.name if r is audio[0] else f"{track.name}-{r.name}": r for r in suiting}


def channel_filters(track: AudioFacts, channels: int) -> list[str]:
    """The track's channels into `channels`, at the loudness that they have, without clipping."""
    layout = LAYOUTS[channels]
    if track.channels == 1 and channels == 2:
        return ["pan=stereo|c0=c0|c1=c0"]  # as loud on each side; a mix would take 3 dB off
    if track.layout.startswith("ambisonic"):
        return [f"pan={layout}|c0=c0" + "|c1=c0" * (channels > 1)]  # the first channel is what is heard from all sides
    if track.channels > 2 and not _mixable(track):
        return [f"pan={layout}|c0=c0" + "|c1=c1" * (channels > 1)]  # nobody knows what the others are
    if track.channels <= channels:
        return []
    # ITU-R BS.775 without its attenuation: speech stays as loud as in the other group, and peaks are held down
    return [f"aformat=channel_layouts={layout}", f"alimiter=limit={CEILING}:level=false:latency=true"]


def _mixable(track: AudioFacts) -> bool:
    """A layout with a name, or none but so few channels that ffmpeg takes the usual one (not told: `6 channels`)."""
    return track.layout in MIXABLE or (track.channels <= 8 and track.layout in ("", f"{track.channels} channels"))


def _chain(track: AudioFacts, rendition: AudioRendition, samples: int) -> str:
    return ",".join(
        [
            f"asetpts=PTS-round({SHIFT}/TB)",  # takes the constant of the objects off
            # onto absolute time: holes become silence, overlaps are dropped, the start is cut or padded to the origin
            f"aresample={rendition.sample_rate}:async=1:min_hard_comp=0.02:first_pts=0",
            *channel_filters(track, rendition.channels),
            f"aformat=sample_fmts=fltp:channel_layouts={LAYOUTS[rendition.channels]}",
            f"apad=whole_len={samples}",  # silence to the end of the video
            f"atrim=end_sample={samples}",  # and not a sample more
        ]
    )


def audio_command(
    ffmpeg: str,
    source: str,
    folder: str,
    track: AudioFacts,
    audio: Sequence[AudioRendition],
    samples: int,
    *,
    steady: bool = False,
) -> list[str]:
    """One ffmpeg for one whole track into `folder/NAME.mp4` per rendition.

    Each has exactly `samples` samples from the origin, in fragments of about a second. `steady`: for a track whose
    channels or sample rate change in its middle, as broadcasts do. It needs ffmpeg 7.1.
    """
    # NUT says how many channels there are but not which; where no layout is known it is the decoder's or the usual one
    layout = ["-channel_layout:a", track.layout] if track.layout in MIXABLE and not steady else []
    command = [ffmpeg, *COMMON, *INPUT[:-2], *layout, *INPUT[-2:], "-i", source]
    renditions = renditions_of(audio, track)
    if steady:
        command += _steadied(track, [_chain(track, rendition, samples) for rendition in renditions.values()])
    for number, (name, rendition) in enumerate(renditions.items()):
        graph = ["-map", f"[a{number}]"] if steady else ["-map", "0:a:0", "-af", _chain(track, rendition, samples)]
        command += [
            *graph,
            "-c:a", rendition.codec,
            "-b:a", f"{rendition.bitrate}k",
            "-threads:a", "1",  # same bytes everywhere
            "-output_ts_offset", str(AUDIO_OFFSET),  # the priming packet is before the origin: no time below zero
            "-use_editlist", "0",  # with one, times would be shifted by the priming
            "-movflags", "+empty_moov+default_base_moof+frag_discont+skip_trailer",
            "-frag_duration", "1000000",  # about a second in memory; packets are put into segments afterwards
            *MP4, f"{folder}/{name}.mp4",
        ]  # fmt: skip
    return command


def decode_command(ffmpeg: str, source: str) -> list[str]:
    """Decodes a track and makes nothing of it; at its end ffmpeg says how many packets could not be decoded."""
    told = ["-loglevel", "verbose"]  # below it, the packets are not counted
    whole = ["-max_error_rate", "1"]  # else it ends before it has seen all
    return [ffmpeg, *COMMON, *told, *whole, *INPUT, "-i", source, "-map", "0:a:0", "-f", "null", "-"]


_COUNTS = re.compile(r"Input stream #0:0 \(audio\): (\d+) packets read .*? (\d+) decode errors")


@dataclass(frozen=True)
class Damage:
    """How many packets of a track there are, and how many of them cannot be decoded."""

    packets: int
    faulty: int

    @property
    def too_much(self) -> bool:
        """Whether ffmpeg gives such a track up, by its own `-max_error_rate`."""
        return self.faulty * 3 > self.packets * 2

    def __str__(self) -> str:
        return f"{self.faulty} of {self.packets} packets cannot be decoded"


def damage_told(words: str) -> Damage | None:
    """What the run of `decode_command` says at its end; None where it does not."""
    counts = _COUNTS.search(words)
    return Damage(int(counts[1]), int(counts[2])) if counts else None


def _steadied(track: AudioFacts, chains: Sequence[str]) -> list[str]:
    """Sound of one shape for the chains, by way of a loopback decoder.

    ffmpeg begins a graph anew where the shape of what it is fed changes, and forgets how far it was. So a graph without
    a memory comes first; what it gives is encoded as plain samples, and decoded for the graphs that count.
    """
    shape = track.layout if track.layout in MIXABLE else f"{track.channels}c"
    even = f"aformat=sample_fmts=flt:sample_rates={track.sample_rate}:channel_layouts={shape}"
    split = f"[dec:0]asplit={len(chains)}" + "".join(f"[s{n}]" for n in range(len(chains)))
    graphs = [f"[s{n}]{chain}[a{n}]" for n, chain in enumerate(chains)]
    plain = ["-map", "0:a:0", "-af", even, "-c:a", "pcm_f32le", "-f", "null", "-"]
    return [*plain, "-dec", "0:0", "-filter_complex", ";".join([split, *graphs])]
