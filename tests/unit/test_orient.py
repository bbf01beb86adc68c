"""The display matrix to filters: as ffmpeg's own autorotation does it, shown against ffmpeg itself."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.orient import orientation
from raven.media.probe import open_source
from tests.media import ffmpeg, run_ffmpeg

ONE = 1 << 16


def matrix(a: float, b: float, c: float, d: float) -> tuple[int, ...]:
    """ISO/IEC 14496-12 8.3.2: a b u, c d v, x y w in 16.16 and 2.30 fixed point."""
    return (round(a * ONE), round(b * ONE), 0, round(c * ONE), round(d * ONE), 0, 0, 0, 1 << 30)


CASES = {
    "upright": (matrix(1, 0, 0, 1), (), False),
    "a quarter turn, as a telephone held upright": (matrix(0, 1, -1, 0), ("transpose=clock",), True),
    "half a turn": (matrix(-1, 0, 0, -1), ("hflip", "vflip"), False),
    "three quarters": (matrix(0, -1, 1, 0), ("transpose=cclock",), True),
    "mirrored": (matrix(-1, 0, 0, 1), ("hflip",), False),
    "upside down": (matrix(1, 0, 0, -1), ("vflip",), False),
    "mirrored and turned": (matrix(0, 1, 1, 0), ("transpose=cclock_flip",), True),
    "mirrored and turned the other way": (matrix(0, -1, -1, 0), ("transpose=clock_flip",), True),
}


@pytest.mark.parametrize(("of", "filters", "turned"), CASES.values(), ids=CASES.keys())
def test_each_orientation_has_its_filters(of: tuple[int, ...], filters: tuple[str, ...], turned: bool) -> None:
    assert orientation(of) == (filters, turned)


def test_without_a_matrix_nothing_is_turned() -> None:
    assert orientation(None) == ((), False)


@pytest.mark.parametrize("of", [(0,) * 9, matrix(0, 0, 1, 1)], ids=["zeros", "no first row"])
def test_a_matrix_that_is_none_turns_nothing(of: tuple[int, ...]) -> None:
    """Some cameras write zeros."""
    assert orientation(of) == ((), False)


@pytest.mark.parametrize("scale", [0.25, 0.9999, 2])
@pytest.mark.parametrize(("of", "filters", "turned"), CASES.values(), ids=CASES.keys())
def test_a_scaled_matrix_turns_as_the_plain_one(
    of: tuple[int, ...], filters: tuple[str, ...], turned: bool, scale: float
) -> None:
    """Anamorphic films carry their shape here too."""
    assert orientation(tuple(round(x * scale) for x in of)) == (filters, turned)


@given(st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 9))
def test_any_matrix_has_an_answer_that_ffmpeg_knows(of: tuple[int, ...]) -> None:
    """It comes from a stranger's file."""
    filters, turned = orientation(of)

    assert (filters, turned) in {(f, t) for _, f, t in CASES.values()}


# against ffmpeg

OPTIONS = {
    "upright": [],
    "90": ["-display_rotation", "90"],
    "180": ["-display_rotation", "180"],
    "270": ["-display_rotation", "270"],
    "hflip": ["-display_hflip"],
    "vflip": ["-display_vflip"],
    "90 hflip": ["-display_rotation", "90", "-display_hflip"],
    "270 hflip": ["-display_rotation", "270", "-display_hflip"],
}


def picture(arguments: list[str]) -> str:
    """Hash of the first frame that ffmpeg shows, with its size."""
    command = [
        ffmpeg(),
        "-v",
        "error",
        "-nostdin",
        *arguments,
        "-frames:v",
        "1",
        "-f",
        "image2pipe",
        "-c:v",
        "ppm",
        "-",
    ]
    return hashlib.sha256(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout).hexdigest()


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that looks different from every side."""
    film = tmp_path_factory.mktemp("orient") / "upright.mp4"
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=5", "-frames:v", "1", "-c:v", "libx264", str(film)])
    return film


def turned_by(options: list[str], upright: Path, folder: Path) -> Path:
    """The same film with another display matrix."""
    film = folder / "turned.mp4"
    run_ffmpeg([*options, "-i", str(upright), "-c", "copy", str(film)])
    return film


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_chunk_looks_as_the_file_does_in_ffmpeg(options: list[str], upright: Path, tmp_path: Path) -> None:
    """The chunk objects have no display matrix: what the filters do not undo, every viewer sees."""
    # Given a film with a display matrix
    film = turned_by(options, upright, tmp_path)

    # When it is probed
    opened = open_source(str(film))
    opened.close()
    assert opened.facts.video is not None
    filters = opened.facts.video.orient

    # Then the filters do what ffmpeg does by itself
    by_itself = picture(["-i", str(film)])
    assert picture(["-noautorotate", "-i", str(film), "-vf", ",".join([*filters, "null"])]) == by_itself
    assert (opened.facts.video.width < opened.facts.video.height) == any("transpose" in f for f in filters)


def test_the_eight_orientations_look_different(upright: Path, tmp_path: Path) -> None:
    """Else the comparison above would prove nothing."""
    seen = {picture(["-i", str(turned_by(options, upright, tmp_path))]) for options in OPTIONS.values()}

    assert len(seen) == 8
