"""The oracle of the frame law: a lossless encode in chunks has the frames of one run over the whole source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from tests.e2e.tools import Film, Frames, read_frames


def check_lossless(film: Film, source: Path, frames: int, distinct: int | None = None) -> None:
    """Each rung of the chunked encode has the frames of the unchunked run bit by bit, through both manifests."""
    decoded = film.check_frames(frames)
    wanted: list[list[str]] = []
    for name, size in film.sizes().items():
        hashes = unchunked(source, film.rate, frames, size).hashes
        assert len(hashes) == frames
        # else frames could change places and nobody would see it
        assert len(set(hashes)) >= (distinct or frames // 2 + 1)
        wanted.append(hashes[:: film.every[name]])
    for streams in decoded:  # the rungs stand in another order in each manifest
        assert sorted(stream.hashes for stream in streams) == sorted(wanted)


def unchunked(source: Path, rate: Fraction, frames: int, size: tuple[int, int]) -> Frames:
    """One ffmpeg run over the whole source, onto the same grid."""
    quiet = ("-loglevel", "fatal")  # what ffmpeg has to say of a source's quirks is no fault of what we made of it
    origin = read_frames(source, "null", "-frames:v", "1", *quiet)[0].times[0]
    chain = [
        f"setpts=PTS-round(({origin})/TB)",
        f"fps={rate}:start_time=0",
        f"scale={size[0]}:{size[1]}:flags=bicubic:out_range=tv",  # as every output
        "format=yuv420p",
    ]
    return read_frames(source, ",".join(chain), "-frames:v", str(frames), *quiet)[0]
