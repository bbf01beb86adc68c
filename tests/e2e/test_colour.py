"""Colours: HDR stays HDR where players know it and becomes SDR elsewhere; any sort of pixels keeps its colours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from raven.media.codecs import colour
from tests.e2e.tools import Film, Raven, corpus_file
from tests.media import ffmpeg, run_ffmpeg

PICTURE = "smptehdbars=size=320x180:rate=25"
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "10")
DISPLAY = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"


def hdr_clip(target: Path, transfer: str, parameters: str = "log-level=0") -> Path:
    """The colour bars as HDR, their white at 203 cd/m2."""
    tags = ["-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv"]
    up = (
        "setparams=color_primaries=1:color_trc=1:colorspace=1:range=1,zscale=t=linear:npl=203,format=gbrpf32le,"
        f"zscale=p=bt2020:t={transfer}:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    )
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", f"{PICTURE},format=yuv420p", "-frames:v", "80", "-vf", up,
            *X265, "-x265-params", f"log-level=0:keyint=40:{parameters}", *tags, str(target),
        ]
    )  # fmt: skip
    return target


def mean_luma(source: Path | str, *options: str) -> float:
    """Of the first frame, on the scale of eight bits."""
    text = run_ffmpeg(
        [
            *options, "-i", str(source), "-frames:v", "1",
            "-vf", "format=yuv420p,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", "-f", "null", "-",
        ]
    )  # fmt: skip
    return float(re.findall(r"YAVG=([\d.]+)", text)[-1])


def shown(film: Film, rung: str) -> str:
    """What ffmpeg says of a rung's stream and of its first frame."""
    playlist = str(film.playlist("video", rung))
    command = [ffmpeg(), "-hide_banner", "-i", playlist, "-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


@pytest.fixture(scope="module")
def pq(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    folder = tmp_path_factory.mktemp("pq")
    return raven.encode(hdr_clip(folder / "pq.mp4", "smpte2084", DISPLAY), folder / "out", "codecs")


@pytest.mark.xdist_group("e2e-pq")
class TestPq:
    def test_keeps_every_frame_in_every_codec(self, pq: Film) -> None:
        pq.check_frames(80)

    @pytest.mark.parametrize("rung", ["hevc", "av1"])
    def test_stays_hdr10_where_players_know_it(self, pq: Film, rung: str) -> None:
        text = shown(pq, rung)
        assert "yuv420p10le(tv, bt2020nc/bt2020/smpte2084" in text
        assert re.search(r"r\(0\.6800,0\.3200\) g\(0\.2650,0\.6900\) b\(0\.1500 0\.0600\) wp\(0\.3127, 0\.3290\)", text)
        assert re.search(r"min_luminance=0\.0050\d*, max_luminance=1000\.0", text)
        assert "MaxCLL=1000, MaxFALL=400" in text

    def test_is_sdr_of_the_same_brightness_in_h264(self, pq: Film) -> None:
        text = shown(pq, "avc")
        assert "yuv420p(tv, bt709, progressive)" in text
        assert "Mastering" not in text
        wanted = mean_luma(PICTURE, "-f", "lavfi")
        assert mean_luma(pq.playlist("video", "avc")) == pytest.approx(wanted, rel=0.15)

    def test_is_told_by_both_manifests(self, pq: Film) -> None:
        ranges = set(re.findall(r"VIDEO-RANGE=(\w+)[^\n]*\nvideo/(\w+)/", pq.hls.read_text("utf-8")))
        assert ranges == {("PQ", "hevc"), ("PQ", "av1"), ("SDR", "avc")}
        (trick,) = re.findall(r"I-FRAME-STREAM-INF.*VIDEO-RANGE=(\w+)", pq.hls.read_text("utf-8"))
        assert trick == "SDR"
        assert pq.dash.read_text("utf-8").count('cicp:TransferCharacteristics" value="16"') == 2

    def test_has_thumbnails_of_the_same_brightness(self, pq: Film) -> None:
        wanted = mean_luma(PICTURE, "-f", "lavfi")
        thumb = run_ffmpeg(
            [
                "-loglevel", "error", "-i", str(pq.folder / "thumbs" / "000000.jpg"),
                "-vf", "scale=in_range=pc:out_range=tv,format=yuv420p,signalstats,metadata=print:file=-",
                "-f", "null", "-",
            ]
        )  # fmt: skip
        assert float(re.findall(r"YAVG=([\d.]+)", thumb)[-1]) == pytest.approx(wanted, rel=0.15)


def test_hlg_stays_hlg_and_becomes_sdr(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(hdr_clip(tmp_path / "hlg.mp4", "arib-std-b67"), tmp_path / "out", "codecs")
    film.check_frames(80)
    for rung in ("hevc", "av1"):
        assert "yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67" in shown(film, rung)
    assert "yuv420p(tv, bt709, progressive)" in shown(film, "avc")
    assert mean_luma(film.playlist("video", "avc")) == pytest.approx(mean_luma(PICTURE, "-f", "lavfi"), rel=0.25)
    assert "VIDEO-RANGE=HLG" in film.hls.read_text("utf-8")


# any sort of pixels

ORANGE = (230, 120, 40)
FFV1 = ("-c:v", "ffv1")
BT709 = "scale=out_color_matrix=bt709"
SORTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "full-range-jpeg": ("scale=out_range=pc,format=yuvj420p", ("-c:v", "mjpeg", "-q:v", "1"), "avi"),
    "full-range-h264": (f"{BT709}:out_range=pc,format=yuvj420p", ("-c:v", "libx264", "-qp", "5"), "mp4"),
    "full-range-h264-decoded": (f"{BT709}:out_range=pc,format=yuvj420p", ("-c:v", "libx264", "-qp", "5"), "h264"),
    "ten-bits-422-decoded": (f"{BT709},format=yuv422p10le", (*X265, "-x265-params", "log-level=0"), "hevc"),
    "ten-bits-422": (f"{BT709},format=yuv422p10le", FFV1, "mkv"),
    "twelve-bits-444": (f"{BT709},format=yuv444p12le", FFV1, "mkv"),
    "bt601": ("scale=out_color_matrix=smpte170m,format=yuv420p", FFV1, "mkv"),
    "rgb": ("format=bgr0", FFV1, "mkv"),
    "rgb-sixteen-bits": ("format=rgb48be", ("-c:v", "png"), "mov"),
    "rgb-uncompressed": ("format=rgb24", ("-c:v", "rawvideo"), "nut"),
}


def flat(target: Path, colour: tuple[int, int, int], filters: str, *options: str) -> Path:
    """A film of one colour."""
    code = "0x" + "".join(f"{value:02x}" for value in colour)
    picture = f"color=c={code}:size=320x180:rate=25,format=gbrp,{filters}"
    run_ffmpeg(["-loglevel", "error", "-f", "lavfi", "-i", picture, "-frames:v", "60", *options, str(target)])
    return target


def centre(film: Film, rung: str) -> list[int]:
    """Red, green and blue in the middle of the first frame, as a player shows it by the tags of the stream."""
    picture = ["-frames:v", "1", "-vf", "crop=16:16,scale=1:1,format=rgb24", "-f", "rawvideo", "-"]
    command = [ffmpeg(), "-loglevel", "error", "-i", str(film.playlist("video", rung)), *picture]
    return list(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)


@pytest.mark.parametrize("sort", SORTS)
def test_pixels_of_any_sort_keep_their_colours_in_h264(raven: Raven, tmp_path: Path, sort: str) -> None:
    filters, options, suffix = SORTS[sort]
    film = raven.encode(flat(tmp_path / f"clip.{suffix}", ORANGE, filters, *options), tmp_path / "out")
    film.check_frames(60)
    assert "yuv420p(tv" in shown(film, "large")
    assert centre(film, "large") == pytest.approx(ORANGE, abs=6)


def test_what_is_transparent_is_black(raven: Raven, tmp_path: Path) -> None:
    half = "format=gbrap,colorchannelmixer=aa=0.5,format=bgra"
    film = raven.encode(flat(tmp_path / "clip.mkv", (240, 200, 160), half, *FFV1), tmp_path / "out")
    assert centre(film, "large") == pytest.approx((120, 100, 80), abs=5)


def test_what_a_source_does_not_state_is_not_guessed(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(flat(tmp_path / "clip.mkv", ORANGE, "format=yuv420p", *FFV1), tmp_path / "out")
    init = (film.folder / "video" / "large" / "init.mp4").read_bytes()
    assert colour(init) in (None, (2, 2, 2))


def test_what_is_left_of_hdr_in_an_sdr_film_is_in_no_rung(raven: Raven, tmp_path: Path) -> None:
    """Its frames still have a mastering display, which encoders would write into some of the init segments."""
    source = tmp_path / "clip.mkv"
    plain = ["-f", "lavfi", "-i", f"{PICTURE},format=yuv420p10le", "-frames:v", "50"]
    run_ffmpeg([*plain, *X265, "-x265-params", f"log-level=0:hdr10=1:repeat-headers=1:{DISPLAY}", str(source)])

    film = raven.encode(source, tmp_path / "out", "codecs")

    inits = [file.read_bytes() for file in film.folder.glob("video/*/init.mp4")]
    assert len(inits) == len(film.rungs)
    assert not any(b"mdcv" in init or b"clli" in init for init in inits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "video_range"), [("androidx__hdr10-av1.mp4", "PQ"), ("androidx__sample_edit_list.mp4", "HLG")]
)
def test_a_real_hdr_film(raven: Raven, tmp_path: Path, name: str, video_range: str) -> None:
    film = raven.encode(corpus_file(name), tmp_path / "out", "codecs")
    film.check_frames(film.task["frames"])
    assert f"VIDEO-RANGE={video_range}" in film.hls.read_text("utf-8")
    assert "yuv420p(tv, bt709, progressive)" in shown(film, "avc")
    assert 40 < mean_luma(film.playlist("video", "avc")) < 200
