"""Raven's output and its checker against the tools of others: none sees what the checker does not."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from raven import names
from raven.check.checker import check
from raven.check.load import find_manifests, load
from raven.check.readers import DirectoryReader
from raven.check.tree import Track, Tree
from tests.e2e.tools import Film, Raven
from tests.media import generate_clip
from tests.servers.fixtures import need
from tests.validators import tools

FRAMES = 500  # 20 s: three segments of 6 s and a short one

pytestmark = [pytest.mark.players, pytest.mark.xdist_group("e2e-validators")]


def tree_of(folder: Path) -> Tree:
    reader = DirectoryReader(folder)
    return load(reader, find_manifests(reader), folder.name)


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Two rungs with the shipped cutting, and sound."""
    folder = tmp_path_factory.mktemp("validators")
    return raven.encode(generate_clip(folder / "clip.mkv", FRAMES, size="640x360"), folder / "out", "default")


@pytest.fixture(scope="module")
def tree(film: Film) -> Tree:
    return tree_of(film.folder)


def by_folder(tree: Tree) -> dict[str, Track]:
    """The media playlists by the name of their folder."""
    return {Path(t.where).parent.name: t for t in tree.hls if t.media in ("video", "audio")}


class TestShakaPackager:
    """The reference packager over the same renditions."""

    KNOWN = frozenset({"sets-start-with-sap", "iframe-bandwidth-is-peak"})
    """Its 3.4.2 gives video no SAP type, and I-frame playlists a BANDWIDTH below their AVERAGE-BANDWIDTH."""

    @pytest.mark.parametrize("segmented", [True, False], ids=["segments", "single-files"])
    def test_makes_trees_that_the_checker_finds_conformant(self, film: Film, tmp_path: Path, segmented: bool) -> None:
        need(tools.missing())
        packaged = tree_of(tools.package(film, tmp_path / "shaka", segmented=segmented))

        assert len(packaged.tracks) >= len(film.rungs) + 1
        assert all(track.frame_rate for track in packaged.tracks)
        assert {finding.rule.id for finding in check(packaged).musts} <= self.KNOWN

    def test_declares_what_raven_declares(self, film: Film, tree: Tree, tmp_path: Path) -> None:
        need(tools.missing())
        packaged = tree_of(tools.package(film, tmp_path / "shaka", segmented=True))

        ours = {Path(track.where).parent.name: tag for tag, track in tree.variants if track}
        theirs = {Path(track.where).stem: tag for tag, track in packaged.variants if track}
        assert set(ours) == set(theirs) == set(film.rungs)
        for name, tag in ours.items():
            assert (tag.size(), tag.number("FRAME-RATE")) == (theirs[name].size(), theirs[name].number("FRAME-RATE"))
            assert set(theirs[name].codecs) <= set(tag.codecs)

    def test_tells_the_same_times_and_rates_in_its_mpd(self, film: Film, tree: Tree, tmp_path: Path) -> None:
        need(tools.missing())
        packaged = tree_of(tools.package(film, tmp_path / "shaka", segmented=True))

        theirs = {Path(t.segments[0].resource.path).parent.name: t for t in packaged.dash}
        for track in (t for t in tree.dash if t.media in ("video", "audio")):
            other = theirs[Path(track.segments[0].resource.path).parent.name]
            packet = 0 if track.media == "video" else 0.022  # it chooses borders of its own for sound
            assert [s.start for s in track.segments] == pytest.approx([s.start for s in other.segments], abs=packet)
            assert track.duration == other.duration
            declared, measured = (t.representation.integer("bandwidth") for t in (track, other) if t.representation)
            assert declared == pytest.approx(measured, rel=0.1)


class TestIsoboxer:
    def test_reads_the_same_fragments(self, film: Film, tree: Tree) -> None:
        need(tools.missing())
        resources = [r for r in tree.segments if r.path.endswith(".m4s") and r.length is None]
        assert len(resources) >= 4 * (len(film.rungs) + 1)

        read = tools.fragments([film.folder / r.path for r in resources])

        for resource, theirs in zip(resources, read, strict=True):
            ours = tree.segments[resource].fragments
            assert [(f.sequence, f.decode_time, f.samples) for f in ours] == [
                (f["sequence"], f["decode_time"], f["samples"]) for f in theirs
            ]
            assert all(t["duration"] in (None, f.duration) for f, t in zip(ours, theirs, strict=True))


class TestMediainfo:
    def test_sees_the_same_tracks(self, film: Film, tree: Tree, tmp_path: Path) -> None:
        need(None if shutil.which("mediainfo") else "mediainfo is not installed; tests/install.sh installs it")
        for name, track in by_folder(tree).items():
            said = tools.mediainfo(tools.whole(film.folder / track.media / name, tmp_path / f"{name}.mp4"))
            init = track.init
            assert init is not None
            if track.media == "video":
                assert (int(said["Width"]), int(said["Height"])) == (init.width, init.height)
                assert int(said["FrameCount"]) == FRAMES
                assert Fraction(int(said["FrameRate_Num"]), int(said["FrameRate_Den"])) == track.frame_rate
                assert float(said["Format_Level"]) * 10 == init.codec.level
            else:
                assert (int(said["Channels"]), int(said["SamplingRate"])) == (init.channels, init.sample_rate)
                assert said["CodecID"].replace("-", ".") == init.codec.text
            assert float(said["Duration"]) == pytest.approx(float(track.duration), abs=0.03)


def test_the_mpd_is_valid_by_the_schema_of_the_standard(film: Film) -> None:
    schema = tools.schema()
    if schema is None or shutil.which("xmllint") is None:
        pytest.skip(f"needs xmllint and {tools.SCHEMA_VARIABLE}=DASH-MPD.xsd, which no package has")
    tools.output_of(["xmllint", "--noout", "--nonet", "--schema", schema, film.folder / names.MPD], schema.parent)
