"""Encodes a film in chunks, in one piece and lossless, and compares the rungs of the first two with the third's."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.figures import Film, Rung, compare, seams_of
from benchmarks.measure import media_bytes, raven_encode
from benchmarks.variants import lossless, profile_text
from benchmarks.vmaf import scores
from raven import names
from raven.errors import UsageError
from raven.media.encoders import encoder_arguments
from raven.media.grid import Grid, Span
from raven.media.ladder import choose_renditions
from raven.model import Rendition, SourceFacts, VideoFacts
from raven.profile import Profile


@dataclass(frozen=True)
class Encoded:
    """What Raven made of the film, and the CPU seconds that it took."""

    folder: Path
    frames: int
    cpu: float


@dataclass(frozen=True)
class Bench:
    """What measures: an ffmpeg, a number of encodes side by side, and how many frames are near a seam on each side."""

    ffmpeg: str
    workers: int
    around: int

    def film(self, source: Path, facts: SourceFacts, chunked: Profile, whole: Profile) -> Film:
        """Encodes a film by two variants of one profile that differ in the length of their chunks.

        Raises UsageError if the film is not one for this, RuntimeError if an encode or a comparison fails.
        """
        video = sdr_video(source, facts)
        grid, one = (profile.cutting.grid(video.rate) for profile in (chunked, whole))
        made = choose_renditions(whole.video, video, grid)
        shortest = grid.segment // max(rendition.every for rendition in made)
        if self.around > shortest:
            raise UsageError(f"{self.around} frames around a seam are more than a segment, which has {shortest}")
        if facts.duration:
            seams_of(grid, one, round(facts.duration * video.rate))  # refused before the work, if the source tells
        with tempfile.TemporaryDirectory(prefix="raven-quality-") as name:
            parts = [self._encode(source, Path(name), p) for p in (chunked, whole, lossless(whole, "lossless"))]
            seams = seams_of(grid, one, parts[0].frames)
            rungs = [self._rung(rendition, parts, seams, grid) for rendition in made]
        return Film(
            name=source.name,
            profile=chunked.name,
            frames=parts[0].frames,
            rate=str(video.rate),
            chunk_frames=grid.chunk,
            seams=seams,
            around=self.around,
            cpu_chunked=parts[0].cpu,
            cpu_whole=parts[1].cpu,
            rungs=tuple(rungs),
        )

    def _encode(self, source: Path, folder: Path, profile: Profile) -> Encoded:
        tell(f"{source.name}: encoding {profile.name}, {profile.cutting.chunk_segments} segments a chunk")
        home = folder / profile.name
        (home / "profiles").mkdir(parents=True)
        (home / "profiles" / "variant.toml").write_text(profile_text(profile), "utf-8")
        settings = {"RAVEN_PROFILES": str(home / "profiles"), "RAVEN_FFMPEG": self.ffmpeg}
        ran = raven_encode(source, home / "out", profile.name, self.workers, settings)
        task = json.loads((home / "out" / names.TASK_JSON).read_text("utf-8"))
        return Encoded(home / "out", int(task["frames"]), ran.cpu)

    def _rung(self, rendition: Rendition, parts: Sequence[Encoded], seams: Sequence[int], grid: Grid) -> Rung:
        """Compares a rung of the encodes in chunks, in one piece, and lossless."""
        name = rendition.name
        tell(f"comparing {name}")
        folders = [part.folder / "video" / name for part in parts]
        *judged, original = (folder / names.PLAYLIST for folder in folders)
        chunked, whole = (scores(self.ffmpeg, encoded, original, original.parent) for encoded in judged)
        frames = Span(0, parts[0].frames).taken(rendition.every)
        if {len(chunked.vmaf), len(whole.vmaf)} != {frames}:
            raise RuntimeError(f"{name}: {len(chunked.vmaf)} and {len(whole.vmaf)} of {frames} frames compared")
        borders, gop = [seam // rendition.every for seam in seams], grid.gop // rendition.every
        bytes_chunked, bytes_whole, _ = map(media_bytes, folders)
        return Rung(
            name=name,
            size=f"{rendition.width}x{rendition.height}",
            settings=shlex.join(encoder_arguments(rendition, grid)),
            bytes_whole=bytes_whole,
            bytes_chunked=bytes_chunked,
            overhead_percent=100 * (bytes_chunked / bytes_whole - 1),
            vmaf=compare(chunked.vmaf, whole.vmaf, borders, self.around, gop),
            psnr=compare(chunked.psnr, whole.psnr, borders, self.around, gop),
        )


def sdr_video(source: Path, facts: SourceFacts) -> VideoFacts:
    """Raises UsageError where there is no video, or one that VMAF is not made for."""
    if facts.video is None or facts.video.video_range != "SDR":
        raise UsageError(f"{source.name} has no SDR video, and VMAF knows no other")
    return facts.video


def tell(text: str) -> None:
    """What is going on, beside the figures."""
    click.echo(text, err=True)
