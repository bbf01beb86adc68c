"""Collecting the cues of a text track from the packets of a real container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

import master.text
from master.text import OPEN_MS, TextCopy, hand_over_texts
from raven.media import webvtt
from raven.model import Cue
from tests.builders import cue, prepare_result, source_facts, text_facts
from tests.media import run_ffmpeg

SRT = """1
00:00:01,000 --> 00:00:02,500
first

2
00:00:03,000 --> 00:00:04,000
second

3
00:00:20,000 --> 00:00:21,000
third
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.srt").write_text(SRT, encoding="utf-8")
    run_ffmpeg(["-i", str(folder / "text.srt"), str(folder / "text.mkv")])
    return folder / "text.mkv"


@contextmanager
def copying(source: Path, target: Path, origin: Fraction = Fraction(0)) -> Iterator[tuple[TextCopy, list[Any]]]:
    """A copy in the making, and the packets of the track."""
    with av.open(str(source)) as container:
        stream = container.streams.subtitles[0]
        copy = TextCopy(stream, origin, target)
        yield copy, [packet for packet in container.demux(stream) if packet.size]


def cues_in(target: Path) -> list[Cue]:
    return webvtt.read_cues(target.read_bytes())


def test_cues_count_from_the_first_frame(source: Path, tmp_path: Path) -> None:
    with copying(source, tmp_path / "text", Fraction(3, 2)) as (copy, packets):
        for packet in packets:
            copy.feed(packet)
        copy.close()

    assert cues_in(copy.path) == [cue(-500, 1000, "first"), cue(1500, 2500, "second"), cue(18_500, 19_500, "third")]
    assert (copy.cues, copy.faults) == (3, 0)


def test_a_text_without_an_end_lasts_until_the_next_one_but_not_for_ever(source: Path, tmp_path: Path) -> None:
    with copying(source, tmp_path / "text") as (copy, packets):
        for packet in packets:
            packet.duration = 0
            copy.feed(packet)
        copy.close()

    assert cues_in(copy.path) == [
        cue(1000, 3000, "first"),
        cue(3000, 3000 + OPEN_MS, "second"),
        cue(20_000, 20_000 + OPEN_MS, "third"),
    ]


def test_a_packet_without_a_time_is_a_fault_and_no_more(source: Path, tmp_path: Path) -> None:
    with copying(source, tmp_path / "text") as (copy, packets):
        packets[1].pts = None
        for packet in packets:
            copy.feed(packet)
        copy.close()

    assert [c.text for c in cues_in(copy.path)] == ["first", "third"]
    assert copy.faults == 1


def test_an_endless_track_is_cut_off(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master.text, "MAX_BYTES", 130)
    with copying(source, tmp_path / "text") as (copy, packets):
        for packet in packets:
            copy.feed(packet)
        copy.close()

    assert len(cues_in(copy.path)) == 2
    assert copy.path.stat().st_size <= 130
    assert copy.faults == 1


def test_a_track_that_says_something_is_handed_over_and_the_others_are_told(source: Path, tmp_path: Path) -> None:
    facts = source_facts(text=(text_facts(stream=2), text_facts(stream=3, name="deu-2", language="deu")))
    handed: list[Path] = []
    with copying(source, tmp_path / "a") as (full, packets), copying(source, tmp_path / "b") as (empty, _):
        packets[1].pts = None
        for packet in packets:
            full.feed(packet)
        end = hand_over_texts(prepare_result(facts=facts), {2: full, 3: empty}, handed.append)

    assert handed == [full.path]
    assert end.facts.text == facts.text[:1]
    assert end.facts.ignored == ("subtitle stream 3 (subrip, deu): it has no text",)
    assert end.warnings == ("subtitle stream 2: pieces that could not be used: 1",)
