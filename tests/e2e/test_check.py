"""`raven check` as a person uses it, over what `raven encode` makes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raven import names
from tests.e2e.tools import Film, Ran, Raven, clean_environment, run
from tests.e2e.web import Site, serve
from tests.media import generate_clip

pytestmark = pytest.mark.xdist_group("e2e-check")


def check(*arguments: str | Path) -> Ran:
    return run([sys.executable, "-m", "raven", "check", *map(str, arguments)], clean_environment())


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """15 s in chunks of one segment, with sound and B-frames."""
    folder = tmp_path_factory.mktemp("check")
    return raven.encode(generate_clip(folder / "clip.mp4", 375), folder / "out", "six")


@pytest.fixture
def copy(film: Film, tmp_path: Path) -> Path:
    """The film, to be broken."""
    return Path(shutil.copytree(film.folder, tmp_path / "film"))


@pytest.fixture(scope="module")
def site(film: Film) -> Iterator[Site]:
    """The film on a web server."""
    with serve(film.folder) as found:
        yield found


def broken(report: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in report["findings"] if finding["severity"] == "must"}


class TestRavensOwnOutput:
    def test_breaks_no_must_but_those_of_one_rung(self, film: Film) -> None:
        """That there are several rungs is the profile's choice, and this profile has one."""
        ran = check(film.folder, "--json")

        assert broken(ran.json) == {"several-bit-rates"}
        assert ran.status == 1

    @pytest.mark.parametrize("name", [names.MULTIVARIANT, names.MPD])
    def test_can_be_named_by_a_manifest(self, film: Film, name: str) -> None:
        assert broken(check(film.folder / name, "--json").json) <= {"several-bit-rates"}

    def test_is_told_in_lines_that_name_file_and_clause(self, film: Film) -> None:
        ran = check(film.folder)

        assert "must: master.m3u8: one variant of video [Apple 9.9]" in ran.stdout.splitlines()
        assert ran.stdout.splitlines()[-1].startswith(f"{film.folder}: broken: ")


class TestABrokenTree:
    def test_without_a_segment_is_told_by_the_line_of_its_playlist(self, copy: Path) -> None:
        (copy / "video/small/seg-000002.m4s").unlink()

        found = check(copy, "--json").json["findings"]

        where = {f["where"] for f in found if f["rule"] == "files-are-there"}
        assert any("playlist.m3u8 line" in text for text in where), where

    def test_with_bytes_of_another_segment_is_found(self, copy: Path) -> None:
        shutil.copy(copy / "video/small/seg-000001.m4s", copy / "video/small/seg-000002.m4s")

        assert {"fragments-run-on", "decode-times-run-on"} <= broken(check(copy, "--json").json)

    def test_with_a_link_out_of_the_folder_is_not_followed(self, copy: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside.m4s"
        segment = copy / "video/small/seg-000002.m4s"
        segment.rename(outside)
        segment.symlink_to(outside)

        assert "files-are-there" in broken(check(copy, "--json").json)


class TestWrongUse:
    @pytest.mark.parametrize("target", ["/nowhere/at/all", "ftp://media.example/film", "file:///etc", "http://user@h/"])
    def test_is_one_sentence_and_status_2(self, target: str) -> None:
        ran = check(target)

        assert (ran.status, ran.stdout) == (2, "")
        assert ran.stderr.startswith("raven: ")
        assert len(ran.stderr.splitlines()) == 1

    def test_of_a_folder_without_a_manifest_says_what_is_missing(self, tmp_path: Path) -> None:
        ran = check(tmp_path)

        assert ran.status == 2
        assert "neither an HLS playlist" in ran.stderr


class TestTheNet:
    def test_gives_the_same_findings_as_the_folder(self, film: Film, site: Site) -> None:
        of_the_web = {"playlists-are-gzipped", "delivered-by-tls", "mime-types-fit"}
        here, there = (check(target, "--json").json for target in (film.folder, site.url))

        assert {f["rule"] for f in there["findings"]} - of_the_web == {f["rule"] for f in here["findings"]}

    def test_may_have_one_manifest_alone(self, copy: Path) -> None:
        (copy / names.MULTIVARIANT).unlink()
        with serve(copy) as site:
            assert broken(check(site.url, "--json").json) == set()

    def test_is_read_by_ranges(self, film: Film, site: Site) -> None:
        """Of a segment no more is fetched than is needed."""
        check(site.url, "--json")

        segments = [r for r in site.requests if r.path.endswith(".m4s")]
        assert segments
        assert all(r.range for r in segments)

    def test_is_not_followed_by_redirects(self, copy: Path) -> None:
        with serve(copy, redirect="/video/small/seg-000002.m4s") as site:
            report = check(site.url + "/" + names.MULTIVARIANT, "--json").json

        found = {f["rule"]: f["found"] for f in report["findings"]}
        assert found["nothing-is-redirected"].startswith("the server answers 302")
        assert "files-are-there" not in found

    def test_without_a_server_is_a_sentence(self) -> None:
        ran = check("http://127.0.0.1:9/film/master.m3u8")

        assert ran.status == 2
        assert "does not answer" in ran.stderr


def test_the_rules_are_listed_with_their_clauses() -> None:
    listed = check("--rules").stdout
    rules = json.loads(check("--rules", "--json").stdout)

    assert all(rule["rule"] in listed for rule in rules)
    assert all(rule["clauses"] and rule["text"] for rule in rules)
    assert listed.splitlines()[-1].startswith(f"{len(rules)} rules: ")
