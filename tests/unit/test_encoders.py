"""What an encoder is told of the frames after a chunk, which it sees and which are thrown away."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from raven.media.encoders import NONE, encoder_arguments
from raven.media.grid import Grid, Span
from raven.model import Rendition
from tests.builders import rendition
from tests.media import generate_clip, run_ffmpeg

GRID = Grid.of(Fraction(25), Fraction(1), 1, 2)
KEPT, GIVEN = 50, 60


def one_thread(**about: object) -> Rendition:
    return rendition(width=160, height=90, **about).model_copy(update={"threads": 1})  # type: ignore[arg-type]


def zones(of: Rendition, spare: Span) -> str:
    arguments = encoder_arguments(of, GRID, spare)
    parameters = dict(pair.split("=", 1) for pair in arguments[arguments.index("-x264-params") + 1].split(":"))
    return parameters["zones"]


def test_frames_that_are_thrown_away_are_made_cheaply() -> None:
    assert zones(one_thread(), Span(KEPT, GIVEN)) == "0,0,b=1.4/50,59,q=51,ref=1,me=dia,subme=0,trellis=0"
    assert zones(one_thread(), NONE) == zones(one_thread(), Span(GIVEN, GIVEN)) == "0,0,b=1.4"


def test_with_several_threads_they_are_made_as_all_others_since_those_before_would_change() -> None:
    assert zones(rendition(), Span(KEPT, GIVEN)) == "0,0,b=1.4"


def packets(clip: Path, of: Rendition, spare: Span) -> list[str]:
    """The hash of each packet that the encoder makes of the clip, in the order of decoding."""
    target = clip.with_suffix(".encoded.mp4")
    run_ffmpeg(["-i", str(clip), *encoder_arguments(of, GRID, spare), str(target)])
    told = run_ffmpeg(["-i", str(target), "-c", "copy", "-f", "framemd5", "-"])
    return [line.rsplit(",", 1)[1] for line in told.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    "of",
    [
        one_thread(crf=24, maxrate=None, bufsize=None),
        one_thread(crf=18, maxrate=60, bufsize=60),
        one_thread(crf=0, maxrate=None, bufsize=None, encoder_profile="high444"),
    ],
    ids=["by quality", "at the cap", "lossless"],
)
def test_no_bit_changes_of_the_frames_that_stay(tmp_path: Path, of: Rendition) -> None:
    # Given ten frames after a chunk of two GOPs
    clip = generate_clip(tmp_path / "clip.mkv", GIVEN, size="160x90", audio=False)

    # When they are encoded as all others, and cheaply
    usual, cheap = packets(clip, of, NONE), packets(clip, of, Span(KEPT, GIVEN))

    # Then the chunk's frames are the same, but for the settings that the first packet tells, and the others are not
    assert len(usual) == len(cheap) == GIVEN
    assert cheap[1:KEPT] == usual[1:KEPT]
    assert cheap[KEPT:] != usual[KEPT:]
