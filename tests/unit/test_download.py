"""The file for download: which rung, by which command, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from raven.errors import ConfigError, OutputWrong
from raven.media.boxes import box
from raven.media.download import check_download, chosen_rungs, download_command
from raven.model import Rendition
from raven.profile import Download, Profile, parse_profile
from tests.builders import profile, rendition, task_row
from watcher.orders import task_profile

RUNGS = (
    rendition(name="720p", width=1280, height=720),
    rendition(name="1080p", width=1920, height=1080, maxrate=6000),
    rendition(name="1080p-high", width=1920, height=1080, maxrate=7800),
    rendition(name="2160p", width=3840, height=2160, maxrate=16000),
)


@pytest.mark.parametrize(
    ("download", "rungs", "chosen"),
    [
        (None, RUNGS, []),
        (Download(), (), []),
        (Download(), RUNGS, ["1080p-high"]),
        (Download(), RUNGS[:1], ["720p"]),
        (Download(), RUNGS[3:], ["2160p"]),
        (Download(), (rendition(name="p", width=1080, height=1920), *RUNGS[:1]), ["p"]),
        (Download(rungs=("1080p", "720p")), RUNGS, ["720p", "1080p"]),
        (Download(rungs=("1080p",)), RUNGS[:1], ["720p"]),
    ],
)
def test_the_largest_rung_up_to_1080p_unless_the_profile_names_others(
    download: Download | None, rungs: Sequence[Rendition], chosen: list[str]
) -> None:
    assert [rung.name for rung in chosen_rungs(download, rungs)] == chosen


def test_h264_goes_before_what_not_everything_plays() -> None:
    modern = RUNGS[1].model_copy(update={"name": "hevc-1080p", "codec": "libx265"})

    assert [rung.name for rung in chosen_rungs(Download(), (RUNGS[0], modern))] == ["720p"]
    assert [rung.name for rung in chosen_rungs(Download(), (modern,))] == ["hevc-1080p"]


HEAD = ["ff", "-hide_banner", "-nostdin", "-loglevel", "warning", "-progress", "pipe:1", "-nostats", "-y", "-copyts"]
TAIL = ["-c", "copy", "-map_metadata:g", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", "t.mp4"]


def test_the_command_copies_picture_and_sound() -> None:
    assert download_command("ff", "v.mp4", "a.mp4", "eng", "t.mp4") == [
        *HEAD, "-protocol_whitelist", "file", "-i", "v.mp4", "-protocol_whitelist", "file", "-i", "a.mp4",
        "-map", "0:v:0", "-map", "1:a:0", "-metadata:s:a:0", "language=eng", *TAIL,
    ]  # fmt: skip


def test_the_command_of_a_silent_film_has_one_input() -> None:
    assert download_command("ff", "v.mp4", None, "und", "t.mp4") == [
        *HEAD, "-protocol_whitelist", "file", "-i", "v.mp4", "-map", "0:v:0", *TAIL,
    ]  # fmt: skip


def moov(frames: int) -> bytes:
    stsz = box("stsz", struct.pack(">III", 0, 0, frames))
    return box("moov", box("trak", box("mdia", box("minf", box("stbl", stsz)))))


MDAT = box("mdat", b"media")


def test_a_right_file_passes() -> None:
    check_download(moov(25) + MDAT, 25, "file")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (moov(24) + MDAT, "24 frames came out, wanted 25"),
        (MDAT + moov(25), "index is not in front of the media, but mdat, moov"),
        (moov(25), "index is not in front of the media, but moov"),
        (b"not an MP4", "not an MP4"),
        (box("moov") + MDAT, "not an MP4: no box moov/trak"),
        ((moov(25) + MDAT)[:-1], "not an MP4"),
    ],
)
def test_a_wrong_file_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(OutputWrong, match=f"file: .*{fault}"):
        check_download(data, 25, "file")


def test_a_task_turns_the_download_on_or_off_for_itself() -> None:
    plain = {"default": profile()}
    offering = {"default": profile().model_copy(update={"download": Download(rungs=("720p",))})}

    def of(options: str | None, profiles: dict[str, Profile]) -> Download | None:
        return task_profile(task_row(options=options), profiles).download

    assert (of(None, plain), of(None, offering)) == (None, Download(rungs=("720p",)))
    assert of('{"download": true}', plain) == Download()
    assert of('{"download": true}', offering) == Download(rungs=("720p",))
    assert of('{"download": false}', offering) is None


def test_a_profile_turns_parts_on_and_off_by_a_word() -> None:
    text = """
name = "mine"
iframes = false
thumbs = false
download = true
[audio]
codec = "aac"
bitrate = 128
channels = 2
sample_rate = 48000
"""
    parsed = parse_profile(text, "mine.toml")

    assert (parsed.iframes, parsed.thumbs, parsed.download) == (None, None, Download())
    assert Profile.model_validate_json(parsed.model_dump_json()) == parsed  # as it travels


def test_a_profile_that_offers_a_rung_it_has_not_is_refused() -> None:
    text = """
name = "mine"
[audio]
codec = "aac"
bitrate = 128
channels = 2
sample_rate = 48000
[[video.rungs]]
name = "720p"
width = 1280
height = 720
crf = 22
[download]
rungs = ["1080p"]
"""
    with pytest.raises(ConfigError, match="download: there is no rung 1080p"):
        parse_profile(text, "mine.toml")
