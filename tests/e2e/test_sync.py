"""Sound and picture: each click is heard when its flash is seen, from the first frame to the last."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.e2e.tools import SAMPLE_RATE, Raven
from tests.media import run_ffmpeg

TOLERANCE = 0.010
"""Seconds. A viewer does not notice 40 ms; a packet of AAC is 21 ms, so a lost or doubled one shows."""
FIRST = 1
"""The frame of the first flash, at 40 ms or so: sound without a packet of priming fades in within its first 21 ms."""
CLICK_SECONDS = 0.008
LOUD = 8000
"""Of 32,767; the clicks reach 23,000."""


@dataclass(frozen=True)
class Source:
    """A film of flashes and clicks. `step` is the number of frames between two flashes."""

    name: str
    rate: Fraction
    step: int
    suffix: str
    sound: tuple[str, ...]
    delay: Fraction = Fraction(0)
    """The sound track begins so much later than the picture; what would be before is missing."""

    @property
    def moments(self) -> list[Fraction]:
        """Seconds at which it flashes and clicks: at the second frame, in intervals, and at the very last frame."""
        return [Fraction(n) / self.rate for n in (FIRST, *range(self.step, self.frames, self.step))]

    @property
    def frames(self) -> int:
        return 22 * self.step + 1

    def make(self, folder: Path) -> Path:
        """Writes the film."""
        target = folder / f"{self.name}.{self.suffix}"
        shown = "+".join(f"eq(n,{round(moment * self.rate)})" for moment in self.moments)
        flash = f"drawbox=color=white:t=fill:enable='{shown}'"
        later = [float(moment - self.delay) for moment in self.moments]
        click = "+".join(f"between(t,{moment:.9f},{moment + CLICK_SECONDS:.9f})" for moment in later)
        length = float(self.frames / self.rate - self.delay)
        run_ffmpeg(
            [
                "-f", "lavfi", "-i", f"color=black:size=320x180:rate={self.rate},{flash}",
                "-itsoffset", f"{float(self.delay)}",
                "-f", "lavfi", "-i", f"aevalsrc='0.7*sin(2*PI*2500*t)*({click})':s=48000:d={length:.6f}",
                "-frames:v", str(self.frames),
                "-c:v", "libx264", "-preset", "veryfast", "-x264-params", "bframes=3:keyint=250", "-pix_fmt", "yuv420p",
                *self.sound, str(target),
            ]
        )  # fmt: skip
        return target


SOURCES = [
    Source("pal-mkv-flac", Fraction(25), 25, "mkv", ("-c:a", "flac", "-sample_fmt", "s16")),
    Source("film-mp4-aac", Fraction(24000, 1001), 24, "mp4", ("-c:a", "aac", "-b:a", "192k")),
    Source("pal-ts-mp2-from-1.4-s", Fraction(25), 25, "ts", ("-c:a", "mp2", "-b:a", "192k")),
    Source("sound-from-0.5-s", Fraction(25), 25, "mkv", ("-c:a", "pcm_s16le"), Fraction(1, 2)),
]


@dataclass(frozen=True)
class Seen:
    """Seconds at which flashes were shown and clicks began."""

    flashes: list[float]
    clicks: list[float]


def watch(manifest: Path, scratch: Path) -> Seen:
    """Plays a manifest with ffmpeg, times as they are, and looks and listens."""
    recording = scratch / "recording.nut"
    run_ffmpeg(
        [
            "-copyts", "-i", str(manifest),
            "-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "scale=16:16,format=gray", "-c:v", "rawvideo",
            "-map", "0:a:0", "-ac", "1", "-c:a", "pcm_s16le",
            # whole seconds, so that nothing is rounded; NUT has no times below zero
            "-output_ts_offset", "10", str(recording),
        ]
    )  # fmt: skip
    flashes: list[float] = []
    clicks: list[float] = []
    loud_until = 0.0
    with av.open(str(recording)) as container:
        for packet in container.demux():
            if not packet.size or packet.pts is None:
                continue
            start = float(packet.pts * packet.time_base) - 10
            if packet.stream.type == "video":
                if sum(bytes(packet)) > 128 * packet.size:
                    flashes.append(start)
                continue
            for number, level in enumerate(array("h", bytes(packet))):
                if abs(level) > LOUD:
                    at = start + number / SAMPLE_RATE
                    if at > loud_until:
                        clicks.append(at)
                    loud_until = at + 0.1
    return Seen(flashes, clicks)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_each_click_is_heard_with_its_flash_through_both_manifests(
    raven: Raven, tmp_path: Path, source: Source
) -> None:
    film = raven.encode(source.make(tmp_path), tmp_path / "out", "six")
    assert film.task["frames"] == source.frames
    assert len(list((film.folder / "video" / "small").glob("*.m4s"))) == 4  # a chunk each: three seams
    wanted = [float(moment) for moment in source.moments]
    heard = [moment for moment in wanted if moment >= source.delay]
    for manifest in film.manifests:
        seen = watch(manifest, tmp_path)
        assert seen.flashes == pytest.approx(wanted, abs=0.001), manifest.name
        assert seen.clicks == pytest.approx(heard, abs=TOLERANCE), manifest.name
