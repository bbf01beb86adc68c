"""HEVC and AV1 beside H.264: the same frames in all, the same bytes again, headers that fit every chunk."""

from __future__ import annotations

from pathlib import Path

import pytest

from raven.media import av1, boxes
from raven.media.codecs import codec_string
from tests.e2e.lossless import check_lossless
from tests.e2e.tools import Film, Raven, StandIn, files_of
from tests.media import generate_clip, run_ffmpeg


@pytest.mark.parametrize("profile", ["lossless-hevc", "lossless-av1"])
def test_a_lossless_film_has_the_frames_of_one_run_over_the_whole_source(
    raven: Raven, tmp_path: Path, profile: str
) -> None:
    source = generate_clip(tmp_path / "clip.mp4", 90, size="192x108", gop=33)
    film = raven.encode(source, tmp_path / "out", profile)
    check_lossless(film, source, 90)


@pytest.fixture(scope="module")
def films(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> tuple[Film, Film, StandIn]:
    """The same film of four chunks encoded twice in three codecs, and what the encoders wrote of the first."""
    folder = tmp_path_factory.mktemp("codecs")
    stand_in = StandIn.install(folder / "ffmpeg", keep=True)
    # noise and stillness, so that the chunks differ in all that an encoder could put into its headers
    picture = "testsrc2=size=320x180:rate=25,noise=alls=60:allf=t:enable='between(t,1,2)'"
    source = folder / "film.mkv"
    coding = ["-frames:v", "115", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p10le"]
    run_ffmpeg(["-f", "lavfi", "-i", picture, *coding, str(source)])
    first = raven.encode(source, folder / "first", "codecs", "--workers", "1", RAVEN_FFMPEG=str(stand_in.program))
    return first, raven.encode(source, folder / "second", "codecs", "--workers", "3"), stand_in


@pytest.mark.xdist_group("e2e-codecs")
class TestThreeCodecs:
    def test_have_exactly_the_frames_of_the_source(self, films: tuple[Film, Film, StandIn]) -> None:
        film = films[0]
        assert film.rungs == ["hevc", "av1", "avc"]
        film.check_frames(115)

    def test_are_told_with_ten_bits_where_the_source_has_them_and_players_know_them(
        self, films: tuple[Film, Film, StandIn]
    ) -> None:
        film = films[0]
        codecs = {r["name"]: r["codecs"] for r in film.task["renditions"]}
        assert codecs == {"hevc": "hvc1.2.4.L30.90", "av1": "av01.0.00M.10", "avc": "avc1.64000b"}
        for manifest in film.manifests:
            assert all(codec in manifest.read_text("utf-8") for codec in codecs.values())

    def test_have_adaptation_sets_of_their_own(self, films: tuple[Film, Film, StandIn]) -> None:
        """No player switches between codecs as between sizes."""
        sets = films[0].dash.read_text("utf-8").split("<AdaptationSet")[1:]
        assert [[name for name in ("hevc", "av1", "avc") if f'id="{name}"' in text] for text in sets] == [
            ["hevc"],
            ["av1"],
            ["avc"],
            [],  # trick play
            [],  # thumbnails
        ]
        assert 'trickmode" value="0 1 2"' in sets[3]

    def test_have_one_header_in_all_chunks(self, films: tuple[Film, Film, StandIn]) -> None:
        film, _, stand_in = films
        assert len(stand_in.kept()) == 4
        for rung in film.rungs:
            headers = {boxes.split((folder / f"{rung}.mp4").read_bytes())[0] for folder in stand_in.kept()}
            assert len(headers) == 1

    def test_state_in_the_av1_header_what_the_samples_have(self, films: tuple[Film, Film, StandIn]) -> None:
        folder = films[0].folder / "video" / "av1"
        init = (folder / "init.mp4").read_bytes()
        stored = boxes.child(init, boxes.sample_entry(init)[-1], "av1C")
        _, (first, *_) = boxes.split(init + (folder / "seg-000001.m4s").read_bytes())
        whole = init + (folder / "seg-000001.m4s").read_bytes()
        sample = whole[first.samples[0].offset :][: first.samples[0].size]
        assert init[stored.payload + 4 : stored.end] == av1.header_of(sample)
        assert b"av01" in init[: next(boxes.boxes(init)).end]  # the brand
        assert codec_string(init) == "av01.0.00M.10"

    def test_come_out_the_same_byte_by_byte_again(self, films: tuple[Film, Film, StandIn]) -> None:
        """An attempt repeated elsewhere must fit what is stored."""
        first, second, _ = films
        assert files_of(first.folder) == files_of(second.folder)


class TestSoundAlone:
    def test_is_made_of_a_film_by_the_profile_audio(self, raven: Raven, tmp_path: Path) -> None:
        film = raven.encode(generate_clip(tmp_path / "clip.mp4", 100), tmp_path / "out", "audio")
        assert (film.rungs, film.task["frames"], film.task["rate"]) == ([], 0, None)
        assert [track["name"] for track in film.task["audio"]] == ["und-1", "und-1-low"]
        assert film.task["source"]["ignored"] == ["video stream 0"]
        assert not (film.folder / "video").exists()
        assert abs(film.task["duration"] - 4) < 0.05

    def test_of_a_silent_film_is_refused_with_the_reason(self, raven: Raven, tmp_path: Path) -> None:
        clip = generate_clip(tmp_path / "clip.mp4", 30, audio=False)
        ran = raven.run(clip, tmp_path / "out", "--profile", "audio")
        assert ran.status == 1
        assert "no audio track that can be decoded; this profile makes sound alone" in ran.stderr
