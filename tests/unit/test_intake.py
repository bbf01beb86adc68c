"""The door to a source: one file is opened and nothing else, too large ones are refused, and the reason is named."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.health import within
from raven.errors import LimitExceeded, SourceRefused, SourceUnreadable, TaskError
from raven.intake import OnlySource
from raven.limits import Limits
from raven.media.formats import FORMATS, refused_list, scrambled
from raven.media.probe import open_source
from tests.media import generate_clip, run_ffmpeg


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 30)


def refusal(source: Path, limits: Limits | None = None) -> str:
    """Why a source is refused."""
    with pytest.raises(TaskError) as refused:
        open_source(str(source), limits or Limits()).close()
    return str(refused.value)


# formats


@pytest.mark.parametrize(
    "reaching", ["hls", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "image2", "lavfi", "vobsub", "ffmetadata", "mlv"]
)
def test_no_format_is_allowed_that_names_other_files_or_hosts(reaching: str) -> None:
    assert reaching not in FORMATS.split(",")


def test_every_allowed_format_is_one_of_libavformat() -> None:
    """A misspelled one would be missed by nobody but a user."""
    known = {name for names in av.formats_available for name in names.split(",")}

    assert set(FORMATS.split(",")) <= known | {"webp_anim"}  # of ffmpeg 8.1 and newer


LISTS = {
    "#EXTM3U\n#EXTINF:2,\nfilm.ts\n": "an HLS or M3U playlist",
    "\ufeff#EXTM3U\n": "an HLS or M3U playlist",
    "ffconcat version 1.0\nfile 'film.mkv'\n": "an ffmpeg concat script",
    "<?xml version='1.0'?>\n<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>": "a DASH manifest",
    "<!-- a -->\n<MPD>": "a DASH manifest",
    "<SmoothStreamingMedia MajorVersion='2'>": "a streaming manifest",
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n": "an SDP session description",
    "[playlist]\nFile1=film.mkv\n": "a playlist",
    ";FFMETADATA1\ntitle=x\n": "a text of metadata",
}


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_films_is_named_for_what_it_is(text: str, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_text(text + "\n" * 200, encoding="utf-8")

    assert refusal(source) == f"the source is {LISTS[text]}, not a film; name the film that it leads to"


@given(st.binary(max_size=2000))
def test_any_bytes_can_be_looked_at(head: bytes) -> None:
    assert refused_list(head) is None or refused_list(head)
    assert scrambled(head) in (True, False)


# limits


def test_a_picture_over_the_limit_is_refused_by_its_header(clip: Path) -> None:
    assert "320x180 = 57600 pixels, over the limit of 50000" in refusal(clip, Limits(pixels=50_000))


def png(width: int, height: int) -> bytes:
    """A tiny file that claims a huge picture; its pixels compress to nearly nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    lines = b"".join(packer.compress(bytes(1 + width * 3)) for _ in range(min(height, 2000))) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_without_decoding_it(tmp_path: Path) -> None:
    source = tmp_path / "film.png"
    source.write_bytes(png(30_000, 30_000))
    assert source.stat().st_size < 1 << 20

    assert "30000x30000 = 900000000 pixels" in refusal(source)


def test_too_many_streams_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    tracks = [word for _ in range(6) for word in ("-map", "0:a")]
    run_ffmpeg(["-f", "lavfi", "-i", "sine=duration=1", *tracks, "-c:a", "pcm_s16le", str(source)])

    assert "streams, over the limit of 4 streams" in refusal(source, Limits(streams=4))
    open_source(str(source), Limits(streams=6)).close()


def test_a_file_over_the_limit_of_bytes_is_refused_before_it_is_read(clip: Path) -> None:
    assert "RAVEN_LIMIT_BYTES" in refusal(clip, Limits(bytes=1000))


def test_a_pipe_that_never_ends_is_refused_at_the_limit_of_bytes(clip: Path, tmp_path: Path) -> None:
    # Given a stream that goes on and on
    transport = tmp_path / "film.ts"
    run_ffmpeg(["-i", str(clip), "-c", "copy", str(transport)])
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    written = 0

    def pour() -> None:
        nonlocal written
        try:
            with pipe.open("wb", buffering=0) as file:
                while True:
                    written += file.write(transport.read_bytes())
        except BrokenPipeError:
            return

    # When it is read
    writer = threading.Thread(target=pour)
    writer.start()
    opened = open_source(str(pipe), Limits(bytes=5_000_000))
    with pytest.raises(LimitExceeded, match="5000000 bytes"):
        for _ in opened.packets():
            pass
    opened.close()
    writer.join()

    # Then it was read to the limit and little further
    assert 5_000_000 <= written < 7_000_000


# encrypted, unknown


def test_common_encryption_is_named(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    key = ["-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"]
    run_ffmpeg(["-i", str(clip), "-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *key, str(source)])

    assert "is encrypted (common encryption, DRM); decrypt it first" in refusal(source)


def test_a_scrambled_transport_stream_is_named(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.ts"
    run_ffmpeg(["-i", str(clip), "-c", "copy", str(source)])
    packets = bytearray(source.read_bytes())
    for start in range(0, len(packets), 188):
        pid = (packets[start + 1] & 0x1F) << 8 | packets[start + 2]
        if pid in (0x100, 0x101):
            packets[start + 3] |= 0x80
            packets[start + 5 : start + 188] = bytes(byte ^ 0x5A for byte in packets[start + 5 : start + 188])
    source.write_bytes(packets)

    assert "is encrypted (its transport stream is scrambled); decrypt it first" in refusal(source)


def test_a_clear_transport_stream_is_not_taken_for_a_scrambled_one(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.ts"
    run_ffmpeg(["-i", str(clip), "-c", "copy", str(source)])

    assert not scrambled(source.read_bytes())
    open_source(str(source)).close()


def test_a_codec_that_nothing_decodes_is_named_by_its_four_characters(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(clip.read_bytes().replace(b"avc1", b"zzz1"))

    assert "the video is coded as zzz1 / 0x317A7A7A, which ffmpeg cannot decode" in refusal(source)


# nothing else is opened


def test_only_the_source_itself_is_opened(clip: Path) -> None:
    door = OnlySource(str(clip), Limits())

    assert door.opened_by_libavformat(str(clip), 1, {}) is door
    for url in ("/etc/passwd", f"file:{clip}", "http://127.0.0.1/", f"{clip}.idx", ""):
        with pytest.raises(SourceRefused, match="nothing but the source itself is opened"):
            door.opened_by_libavformat(url, 1, {})
    door.close()


def test_a_source_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="No such file"):
        open_source(str(tmp_path / "none.mkv"))


def test_a_film_is_refused_at_the_first_time_past_the_limit(clip: Path) -> None:
    """Two packets a year apart would be a year of film."""
    opened = open_source(str(clip))
    origin = opened.facts.origin

    with pytest.raises(LimitExceeded, match="lasts 1 s, over the limit of 1 s"):
        list(within(opened.packets(), origin, Limits(seconds=1)))
    assert len(list(within(opened.packets(), origin, Limits(seconds=10)))) > 0
    opened.close()
