"""Replays: what a playlist joins, from a web server or a folder, and what it may not reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from master.playlist import About, Piece, best_variant, sections
from master.replay import Beside, listed
from raven.check.m3u8 import parse
from raven.errors import LimitExceeded, RavenError, SourceRefused, SourceUnreadable
from raven.limits import Limits
from raven.media.probe import open_source
from tests.media import generate_clip, run_ffmpeg
from tests.unit.web_server import Server, fetched, reach

Files = Mapping[str, bytes]


# what a playlist says

MANY = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="low",URI="low.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="high",NAME="English",LANGUAGE="en-GB",DEFAULT=YES
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="high",NAME="Deutsch",LANGUAGE="de",URI="sub/de.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="t",NAME="x",LANGUAGE="??",FORCED=YES,URI="t.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="other",NAME="x",URI="t.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=64x36,AUDIO="low"
small.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=5,RESOLUTION=320x180,AUDIO="low"
large-low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=7,RESOLUTION=320x180,AUDIO="high",SUBTITLES="t"
large.m3u8
"""


def test_the_largest_variant_of_the_highest_rate_is_taken_with_what_goes_with_it() -> None:
    variant = best_variant("https://h/in/all.m3u8", parse("", MANY))

    assert variant.place == "https://h/in/large.m3u8"
    assert (variant.own_sound, variant.about) == (True, About(language="eng", title="English", default=True))
    assert [(r.kind, r.place, r.about) for r in variant.renditions] == [
        ("audio", "https://h/in/sub/de.m3u8", About(language="deu", title="Deutsch")),
        ("text", "https://h/in/t.m3u8", About(title="x", forced=True)),
    ]


def test_sound_alone_stands_for_a_picture_that_nobody_wants() -> None:
    apart = MANY.replace("DEFAULT=YES", 'URI="en.m3u8"')
    variant = best_variant("/in/all.m3u8", parse("", apart))

    assert (variant.place, variant.own_sound, len(variant.renditions)) == ("/in/large.m3u8", False, 3)
    alone = variant.sound_alone()
    assert (alone.place, alone.own_sound) == ("/in/en.m3u8", True)
    assert [r.place for r in alone.renditions] == ["/in/sub/de.m3u8", "/in/t.m3u8"]


def test_a_variant_that_is_a_rendition_itself_has_its_own_sound() -> None:
    """As in a presentation of sound alone."""
    text = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",LANGUAGE="fr",URI="a.m3u8"\n'
    variant = best_variant("/in/all.m3u8", parse("", text + '#EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO="a"\na.m3u8\n'))

    assert (variant.own_sound, variant.renditions) == (True, ())
    assert variant.about == About(language="fra", title="x")


def test_a_playlist_falls_into_parts_where_its_init_segment_or_its_clock_changes() -> None:
    text = """#EXTM3U
#EXT-X-MAP:URI="a.mp4",BYTERANGE="10@5"
#EXTINF:1,
1.m4s
#EXTINF:1,
#EXT-X-BYTERANGE:7@3
2.m4s
#EXTINF:1,
#EXT-X-BYTERANGE:8
2.m4s
#EXT-X-DISCONTINUITY
#EXTINF:1,
3.m4s
#EXT-X-MAP:URI="b.mp4"
#EXTINF:1,
4.m4s
#EXT-X-GAP
#EXTINF:1,
5.m4s
#EXT-X-ENDLIST
"""
    first, second, third = sections("/in/x.m3u8", parse("", text))

    assert first.init == second.init == Piece("/in/a.mp4", 5, 10)
    assert first.pieces == (Piece("/in/1.m4s"), Piece("/in/2.m4s", 3, 7), Piece("/in/2.m4s", 10, 8))
    assert second.pieces == (Piece("/in/3.m4s"),)
    assert (third.init, third.pieces) == (Piece("/in/b.mp4"), (Piece("/in/4.m4s"),))


# real ones


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """HLS recordings of 3 s at 25 frames/s in pieces of a second: of each kind one."""
    folder = tmp_path_factory.mktemp("hls")
    clip = generate_clip(folder / "clip.mp4", 75, gop=25)
    hls = ["-i", str(clip), "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"]
    run_ffmpeg([*hls, str(folder / "film.m3u8")])
    run_ffmpeg([*hls, "-hls_flags", "single_file", str(folder / "one.m3u8")])
    for name in ("parts", "again"):
        fragments = ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", f"{name}.mp4"]
        run_ffmpeg([*hls, *fragments, "-hls_segment_filename", f"{folder}/{name}%d.m4s", str(folder / f"{name}.m3u8")])
    fragments = ["-hls_segment_type", "fmp4", "-hls_flags", "single_file"]
    run_ffmpeg([*hls, *fragments, str(folder / "whole.m3u8")])
    apart = ["-map", "0:v", "-map", "0:a", "-var_stream_map", "v:0,agroup:a a:0,agroup:a,language:fre"]
    run_ffmpeg(["-loglevel", "error", *hls, *apart, "-master_pl_name", "apart.m3u8", str(folder / "apart%v.m3u8")])
    return {f"/in/{file.name}": file.read_bytes() for file in folder.iterdir()}


def frames(film: Path) -> int:
    opened = open_source(str(film))
    assert opened.video is not None
    times = [
        p.pts * p.time_base for p in opened.packets() if p.stream_index == opened.video.index and p.pts is not None
    ]
    opened.close()
    assert max(times) - min(times) == pytest.approx(Fraction(len(times) - 1, 25), abs=0.05)
    return len(times)


@pytest.mark.parametrize("name", ["film.m3u8", "parts.m3u8", "one.m3u8", "whole.m3u8"])
def test_a_playlist_that_has_ended_is_one_film(server: Server, pieces: Files, tmp_path: Path, name: str) -> None:
    server.files = dict(pieces)

    assert frames(fetched(server, tmp_path, f"/in/{name}")) == 75
    assert [file.name for file in tmp_path.iterdir()] == ["replay"], "one piece at a time takes room"


def test_one_file_of_many_ranges_is_fetched_once(server: Server, pieces: Files, tmp_path: Path) -> None:
    server.files = dict(pieces)
    fetched(server, tmp_path, "/in/one.m3u8")

    assert [path for path, _ in server.asked] == ["/in/one.m3u8", "/in/one.ts"]


def test_sound_with_a_playlist_of_its_own_is_a_file_beside_the_film(
    server: Server, pieces: Files, tmp_path: Path
) -> None:
    server.files = dict(pieces)

    film, beside = reach(f"{server.url}/in", tmp_path).path(f"{server.url}/in/apart.m3u8")

    assert frames(Path(film)) == 75
    assert beside.own_sound is False
    (side,) = beside.sides
    assert (side.kind, side.about.language) == ("audio", "fra")
    with_sound = open_source(side.path)
    assert [track.codec for track in with_sound.facts.audio] == ["aac"]
    with_sound.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["replay", "side-1"]


def test_the_same_playlists_in_a_folder_are_the_same_film(pieces: Files, tmp_path: Path) -> None:
    root, space = tmp_path / "in", tmp_path / "space"
    root.mkdir()
    space.mkdir()
    for name, body in pieces.items():
        (root / Path(name).name).write_bytes(body)

    film, beside = reach(str(root), space).path(str(root / "apart.m3u8"))

    assert frames(Path(film)) == 75
    assert len(beside.sides) == 1


CHANGES = """#EXTM3U
#EXT-X-MAP:URI="parts.mp4"
#EXTINF:1,
parts0.m4s
#EXTINF:1,
parts1.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="again.mp4"
#EXTINF:1,
again0.m4s
#EXTINF:1,
again1.m4s
#EXTINF:1,
again2.m4s
#EXT-X-ENDLIST
"""


def test_parts_of_several_init_segments_are_one_film(server: Server, pieces: Files, tmp_path: Path) -> None:
    server.files = {**pieces, "/in/x.m3u8": CHANGES.encode()}

    assert frames(fetched(server, tmp_path, "/in/x.m3u8")) == 125
    assert [file.name for file in tmp_path.iterdir()] == ["replay"]


def test_a_piece_that_is_missing_is_left_out_and_told(server: Server, pieces: Files, tmp_path: Path) -> None:
    text = pieces["/in/film.m3u8"].decode().replace("film1.ts", "lost.ts")
    server.files = {**pieces, "/in/x.m3u8": text.replace("lost.ts", "#EXT-X-GAP\nlost.ts").encode()}

    film, beside = reach(f"{server.url}/in", tmp_path).path(f"{server.url}/in/x.m3u8")

    assert beside.warnings == ("pieces that the playlist says are missing (EXT-X-GAP): 1",)
    opened = open_source(film)
    assert sum(1 for p in opened.packets() if p.stream_index == 0) == 50
    opened.close()


def test_a_list_of_pieces_is_one_film_even_where_their_clock_starts_anew(pieces: Files, tmp_path: Path) -> None:
    """A recorder that was restarted."""
    whole = tmp_path / "one.ts"
    whole.write_bytes(b"".join(pieces[f"/in/film{n}.ts"] for n in range(3)))

    joined, beside = reach(str(tmp_path), tmp_path).path(json.dumps([str(whole), str(whole)]))

    assert frames(Path(joined)) == 150
    assert beside == Beside()


def vod(*lines: str) -> str:
    return "\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST", ""])


def beside(kind: str, uri: str) -> str:
    return (
        f'#EXTM3U\n#EXT-X-MEDIA:TYPE={kind},GROUP-ID="g",NAME="x",URI="{uri}"\n'
        f'#EXT-X-STREAM-INF:BANDWIDTH=9,{kind}="g"\nfilm.m3u8\n'
    )


ELSEWHERE = "outside the allowed hosts"
REFUSED = {
    "live": ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfilm0.ts\n", "is live: it has no EXT-X-ENDLIST"),
    "encrypted": (vod('#EXT-X-KEY:METHOD=AES-128,URI="key"', "#EXTINF:1,", "film0.ts"), r"encrypted .*AES-128"),
    "encrypted later": (
        vod("#EXTINF:1,", "film0.ts", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"', "#EXTINF:1,", "film1.ts"),
        r"encrypted .*SAMPLE-AES",
    ),
    "another host": (vod("#EXTINF:1,", "http://127.0.0.2/in/film0.ts"), ELSEWHERE),
    "a file": (vod("#EXTINF:1,", "file:///etc/passwd"), "outside"),
    "above": (vod("#EXTINF:1,", "../secret.ts"), ELSEWHERE),
    "an init segment above": (vod('#EXT-X-MAP:URI="/secret.ts"', "#EXTINF:1,", "parts0.m4s"), ELSEWHERE),
    "sound on another host": (beside("AUDIO", "https://127.0.0.2/x.m3u8"), ELSEWHERE),
    "sound that is a file": (beside("AUDIO", "file:///etc/passwd"), "outside"),
    "text above": (beside("SUBTITLES", "/secret.ts"), ELSEWHERE),
    "a variant above": ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\n../secret.m3u8\n", ELSEWHERE),
    "itself": ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\nx.m3u8\n", "names no piece"),
    "sound that is itself": (beside("AUDIO", "x.m3u8"), "names no piece"),
    "no film": (vod("#EXTINF:1,", "parts.m3u8"), "is not MPEG-TS"),
    "nothing": (vod(), "names no piece"),
    "all lost": (vod("#EXT-X-GAP", "#EXTINF:1,", "film0.ts"), "none of the playlist's pieces is there"),
}


@pytest.mark.parametrize("sort", REFUSED)
def test_a_playlist_that_cannot_be_one_film_is_refused(
    server: Server, pieces: Files, tmp_path: Path, sort: str
) -> None:
    text, saying = REFUSED[sort]
    secrets = dict.fromkeys(("/secret.ts", "/secret.m3u8"), pieces["/in/film0.ts"])
    server.files = {**pieces, **secrets, "/in/x.m3u8": text.encode()}

    with pytest.raises(SourceRefused, match=saying):
        fetched(server, tmp_path, "/in/x.m3u8")
    assert not {path for path, _ in server.asked} & secrets.keys()


@pytest.mark.parametrize(("name", "start"), [("film.m3u8", "film"), ("apart.m3u8", "apart"), ("parts.m3u8", "parts")])
def test_all_pieces_together_are_limited(server: Server, pieces: Files, tmp_path: Path, name: str, start: str) -> None:
    """None of them is over the limit, but the film with its sound is."""
    server.files = dict(pieces)
    whole = sum(len(body) for piece, body in pieces.items() if piece.startswith(f"/in/{start}") and body[:1] != b"#")

    fetched(server, tmp_path, f"/in/{name}", Limits(bytes=whole))
    with pytest.raises(LimitExceeded, match="RAVEN_LIMIT_BYTES"):
        fetched(server, tmp_path, f"/in/{name}", Limits(bytes=whole - 1))


def test_renditions_are_limited(server: Server, pieces: Files, tmp_path: Path) -> None:
    text = "".join(beside("AUDIO", f"{n}.m3u8").splitlines()[1] + "\n" for n in range(10))
    server.files = {**pieces, "/in/x.m3u8": (beside("AUDIO", "a.m3u8") + text).encode()}

    with pytest.raises(LimitExceeded, match="12 streams"):
        fetched(server, tmp_path, "/in/x.m3u8", Limits(streams=10))
    assert len(server.asked) == 1


def test_text_that_is_no_webvtt_is_told(server: Server, pieces: Files, tmp_path: Path) -> None:
    """IMSC is XML in fMP4."""
    server.files = {**pieces, "/in/x.m3u8": beside("SUBTITLES", "parts.m3u8").encode()}

    _, found = reach(f"{server.url}/in", tmp_path).path(f"{server.url}/in/x.m3u8")

    assert found.sides == ()
    assert found.ignored == ("subtitles 'x' (und): not converted, they are fMP4 and not WebVTT",)


@pytest.mark.parametrize("uri", ["../secret.ts", "/etc/passwd", "file:///etc/passwd"])
@pytest.mark.parametrize("kind", ["piece", "AUDIO", "SUBTITLES"])
def test_a_playlist_in_a_folder_reaches_nothing_outside_the_roots(tmp_path: Path, kind: str, uri: str) -> None:
    root = tmp_path / "in"
    root.mkdir()
    (tmp_path / "secret.ts").write_bytes(b"G" * 188)
    (root / "film.m3u8").write_text(vod("#EXTINF:1,", "film.ts"), encoding="utf-8")
    (root / "film.ts").write_bytes(b"G" * 188)
    text = vod("#EXTINF:1,", uri) if kind == "piece" else beside(kind, uri)
    (root / "x.m3u8").write_text(text, encoding="utf-8")

    with pytest.raises(SourceRefused, match="outside the allowed roots"):
        reach(str(root), tmp_path).path(str(root / "x.m3u8"))


def test_a_piece_that_is_shorter_than_the_playlist_says_is_named(server: Server, pieces: Files, tmp_path: Path) -> None:
    text = vod("#EXTINF:1,", f"#EXT-X-BYTERANGE:{len(pieces['/in/film0.ts']) + 1}@0", "film0.ts")
    server.files = {**pieces, "/in/x.m3u8": text.encode()}

    with pytest.raises(SourceUnreadable, match="shorter than the playlist says"):
        fetched(server, tmp_path, "/in/x.m3u8")


def test_parts_of_a_codec_that_cannot_be_joined_are_refused(server: Server, tmp_path: Path) -> None:
    """MPEG-TS has no name for FLAC."""
    fragments = ["-hls_segment_type", "fmp4", "-hls_time", "1", "-hls_playlist_type", "vod"]
    source = ["-f", "lavfi", "-i", "sine=d=3", "-c:a", "flac", "-f", "hls"]
    folder = tmp_path / "hls"
    folder.mkdir()
    run_ffmpeg(["-loglevel", "error", *source, *fragments, str(folder / "flac.m3u8")])
    text = (folder / "flac.m3u8").read_text("utf-8")
    second = text.rindex("#EXTINF")
    (folder / "flac.m3u8").write_text(text[:second] + "#EXT-X-DISCONTINUITY\n" + text[second:], encoding="utf-8")
    server.files = {f"/in/{file.name}": file.read_bytes() for file in folder.iterdir()}

    with pytest.raises(RavenError, match="cannot be joined") as refused:
        fetched(server, tmp_path, "/in/flac.m3u8")
    assert refused.value.permanent


@pytest.mark.parametrize(
    "text", ["[", "[" * 60_000, "[]", "[1]", '["a.m3u8"]', '["[1]"]', '{"a": 1}', '[""]', '["/in/\\ud800"]']
)
def test_what_is_no_list_of_pieces_is_refused(text: str) -> None:
    with pytest.raises(SourceRefused):
        listed(text)
