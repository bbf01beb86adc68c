"""What the cutter tells while it reads: an encode job may start on it at once, so nothing of it may change later."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from master.cutter import Event, Order, cut
from raven.media.probe import open_source
from raven.profile import Cutting


def _clip(folder: Path, frames: int) -> Path:
    clip = folder / f"clip-{frames}.mkv"
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=10"),
            *("-frames:v", str(frames), "-c:v", "libx264", "-preset", "ultrafast", "-g", "7", str(clip)),
        ],
        check=True,
    )
    return clip


@pytest.mark.parametrize("frames", [1, 9, 10, 59, 60, 61, 119, 120, 121, 179, 180, 181, 305])
def test_a_chunk_is_announced_only_when_its_range_can_no_longer_change(tmp_path: Path, frames: int) -> None:
    """The last chunk once went out as a whole one while N was not known yet, and came back short."""
    events: list[Event] = []
    cutting = Cutting(chunk_segments=1)
    opened = open_source(str(_clip(tmp_path, frames)))
    order = Order(path="", folder=str(tmp_path), cutting=cutting, sample_rate=48000)
    try:
        end = cut(opened, order, events.append)
    finally:
        opened.close()
    assert end.facts.video is not None
    grid = cutting.grid(end.facts.video.rate)
    assert (end.frames, end.complete, end.chunks) == (frames, True, grid.chunk_count(frames))
    announced = [event.state.chunks for event in events if event.state is not None]
    assert announced == sorted(announced)
    for count in announced:
        for index in range(count):
            assert grid.chunk_span(index, None) == grid.chunk_span(index, frames)
    stored = [event.key for event in events if event.key is not None]
    assert stored == [f"chunk-{index:06d}.nut" for index in range(end.chunks)]
