"""The ffmpeg argument lists, whole: a flag that comes, goes or moves must be meant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from raven.media.command import ChunkOrder, encode_command, encode_graph
from raven.media.filters import SHIFT
from raven.media.grid import Grid, Span
from raven.model import Rendition, VideoFacts
from tests.builders import cutting, rendition, video_facts

FILM_RATE = Fraction(24000, 1001)
FILM = Grid.of(FILM_RATE, Fraction(2), 3, 3)  # GOPs of 48, segments of 144, chunks of 432 frames
HEAD = ["ff", "-hide_banner", "-nostdin", "-loglevel", "warning", "-progress", "pipe:1", "-nostats", "-y"]
PICTURES = ["-noautorotate", "-threads", "1", "-reinit_filter", "0"]
INPUT = ["-protocol_whitelist", "file,pipe", "-copyts", "-f", "nut"]
LARGEST = ["-max_pixels", "40000000"]
MP4 = [
    "-avoid_negative_ts", "disabled", "-write_btrt", "0", "-map_metadata", "-1", "-fflags", "+bitexact", "-f", "mp4",
]  # fmt: skip
STRIPPED = ",".join(
    f"sidedata=mode=delete:type={kind}"
    for kind in (
        "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_RPU_BUFFER",
        "DOVI_METADATA", "AMBIENT_VIEWING_ENVIRONMENT",
    )
)  # fmt: skip
MOVFLAGS = "+frag_keyframe+empty_moov+default_base_moof+frag_discont+skip_trailer"


def chunk_order(
    *,
    grid: Grid = FILM,
    span: Span | None = None,
    tail: int = 0,
    video: VideoFacts | None = None,
    renditions: tuple[Rendition, ...] | None = None,
    thumbs: Mapping[int, int] | None = None,
) -> ChunkOrder:
    return ChunkOrder(
        grid=grid,
        span=span or grid.chunk_span(0, None),
        tail=tail,
        video=video or video_facts(rate=grid.rate),
        renditions=renditions or (rendition(),),
        thumbs=thumbs or {},
        thumb_size=(320, 180),
    )


def test_the_command_of_a_last_chunk_turned_with_colours_and_thumbnails() -> None:
    # Given the last chunk of a telephone's film that lies on its side, in two rungs
    order = chunk_order(
        span=Span(432, 700),
        tail=5,
        video=video_facts(
            width=720,
            height=1280,
            rate=FILM_RATE,
            orient=("transpose=clock",),
            colour={"range": "1", "colorspace": "1", "color_primaries": "1", "color_trc": "1"},
        ),
        renditions=(
            rendition(name="360p", width=202, height=360, crf=23.5, maxrate=1000, bufsize=None),
            rendition(name="720p", width=720, height=1280, crf=23, options={"aq-mode": "3"}),
        ),
        thumbs={480: 2, 600: 3},
    )

    # When its command is made
    command = encode_command("ff", "/t/chunk.nut", "/t", order)

    # Then this is all of it
    graph = (
        "[0:v:0]select=gte(selected_n\\,1)+(key+not(eq(pict_type\\,P)+eq(pict_type\\,B)))*lt(t\\,78.038854167),"
        "sidedata=mode=delete:type=A53_CC:enable=lt(t\\,77.997145833)+gte(t\\,89.174979167),sidedata=mode=delete:type=DISPLAYMATRIX,"
        "scale=720:1280,setpts=PTS-round(60/TB),settb=expr=1001/100104000,fps=fps=24000/1001:start_time=18.018000000:eof_action=pass,"
        "tpad=stop_mode=clone:stop=5,setparams=color_primaries=1:color_trc=1:colorspace=1:range=1,"
        f"{STRIPPED},split=3[v0][v1][t];"
        "[v0]transpose=clock,scale=202:360:flags=bicubic:out_range=tv,setsar=1,format=yuv420p[out0];"
        "[v1]transpose=clock,scale=720:1280:flags=bicubic:out_range=tv,setsar=1,format=yuv420p[out1];"
        "[t]select=eq(n\\,48)+eq(n\\,168),transpose=clock,scale=320:180:flags=bicubic:out_range=pc,setsar=1,format=yuvj420p[thumbs]"
    )
    rung = [
        "-fps_mode", "passthrough", "-frames:v", "268", "-video_track_timescale", "24000", "-movflags", MOVFLAGS,
        "-fragment_index", "10", *MP4,
    ]  # fmt: skip
    assert command == [
        *HEAD, *PICTURES, *INPUT, *LARGEST, "-i", "/t/chunk.nut",
        "-filter_complex_threads", "1", "-filter_complex", graph,
        "-map", "[out1]", "-c:v", "libx264", "-preset", "medium", "-crf", "23", "-threads:v", "2",
        "-x264-params",
        "keyint=48:min-keyint=1:scenecut=0:open-gop=0:stitchable=1:zones=0,0,b=1.4:aq-mode=3:vbv-init=0.7",
        "-flags:v", "+bitexact", "-maxrate", "4000k", "-bufsize", "8000k", "-profile:v", "high",
        *rung, "/t/720p.mp4",
        "-map", "[out0]", "-c:v", "libx264", "-preset", "medium", "-crf", "23.5", "-threads:v", "2",
        "-x264-params", "keyint=48:min-keyint=1:scenecut=0:open-gop=0:stitchable=1:zones=0,0,b=1.4:vbv-init=0.7",
        "-flags:v", "+bitexact", "-maxrate", "1000k", "-bufsize", "2000k", "-profile:v", "high",
        *rung, "/t/360p.mp4",
        "-map", "[thumbs]", "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "4", "-threads:v", "1",
        "-frames:v", "2", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-start_number", "2",
        "-f", "image2", "/t/%06d.jpg",
    ]  # fmt: skip


def test_the_command_of_a_first_chunk_without_thumbnails_lossless() -> None:
    # Given the first chunk of a plain film in one lossless rung
    lossless = rendition(name="all", crf=0, maxrate=None, bufsize=None, encoder_profile="", options={"qp": "0"})
    order = chunk_order(grid=cutting().grid(Fraction(25)), renditions=(lossless,))

    # When its command is made
    command = encode_command("ff", "chunk.nut", ".", order)

    # Then nothing of rotation, colour, tail, cap, profile or thumbnails is in it, and one frame more to look ahead to
    graph = (
        "[0:v:0]sidedata=mode=delete:type=A53_CC:enable=lt(t\\,59.980000000)+gte(t\\,62.380000000),sidedata=mode=delete:type=DISPLAYMATRIX,"
        "setpts=PTS-round(60/TB),settb=expr=1/100025,fps=fps=25/1:start_time=0.000000000:eof_action=pass,"
        f"{STRIPPED},split=1[v0];"
        "[v0]scale=1280:720:flags=bicubic:out_range=tv,setsar=1,format=yuv420p[out0]"
    )
    assert command == [
        *HEAD, *PICTURES, *INPUT, *LARGEST, "-i", "chunk.nut",
        "-filter_complex_threads", "1", "-filter_complex", graph,
        "-map", "[out0]", "-c:v", "libx264", "-preset", "medium", "-crf", "0", "-threads:v", "2",
        "-x264-params", "keyint=10:min-keyint=1:scenecut=0:open-gop=0:stitchable=1:zones=0,0,b=1.4:qp=0",
        "-flags:v", "+bitexact",
        "-fps_mode", "passthrough", "-frames:v", "61", "-video_track_timescale", "25000",
        "-movflags", MOVFLAGS, "-fragment_index", "1", *MP4, "./all.mp4",
    ]  # fmt: skip


def test_a_rung_of_half_the_rate_has_its_own_frames_and_shorter_gops() -> None:
    # Given the last chunk of a film of 50 frames/s with an odd number of frames, HDR in one rung
    grid = Grid.of(Fraction(50), Fraction(2), 3, 3)
    order = chunk_order(
        grid=grid,
        span=Span(900, 1001),
        tail=1,
        video=video_facts(rate=grid.rate, colour={"color_trc": "18"}),
        renditions=(
            rendition(name="hevc", every=2).model_copy(update={"video_range": "HLG", "codec": "libx265"}),
            rendition(name="360p", width=640, height=360, every=2),
            rendition(name="720p"),
        ),
    )

    command = encode_command("ff", "c.nut", ".", order)

    # Then its branches take every second frame before anything else is done with them
    chains = encode_graph(order).split(";")
    assert chains[1].startswith("[v0]fps=fps=25/1:round=up,scale=")
    assert chains[3].startswith("[v1]fps=fps=25/1:round=up,scale=")
    assert chains[4].startswith("[v2]scale=")
    # and its encoders make half as many, in GOPs of half as many, counted in the ticks of all
    maps = [at for at, word in enumerate(command) if word == "-map"]
    outputs = [command[at:end] for at, end in zip(maps, [*maps[1:], None], strict=True)]
    values = [
        [words[words.index(key) + 1] for key in ("-map", "-frames:v", "-video_track_timescale", "-fragment_index")]
        for words in outputs
    ]
    assert values == [
        ["[out2]", "101", "50000", "10"],
        ["[out1]", "51", "50000", "10"],
        ["[out0]", "51", "50000", "10"],
    ]
    # and in a chunk that others follow, 18 frames to look ahead to or half as many
    command = encode_command("ff", "c.nut", ".", replace(order, span=Span(0, 900), tail=0))
    frames = [after for word, after in itertools.pairwise(command) if word == "-frames:v"]
    assert frames == ["918", "459", "459"]
    assert [re.findall("(?<!min-)keyint=([0-9]+)", " ".join(words)) for words in outputs] == [["100"], ["50"], ["50"]]


def test_of_an_hdr_film_all_that_is_sdr_has_one_tone_mapping_at_its_largest_size() -> None:
    # Given a PQ film that states its transfer alone, with a HEVC rung, two H.264 rungs and thumbnails
    order = chunk_order(
        grid=cutting().grid(Fraction(25)),
        video=video_facts(colour={"color_trc": "16"}, bit_depth=10, light=(600, 100)),
        renditions=(
            rendition(name="hevc").model_copy(update={"video_range": "PQ", "pixel_format": "yuv420p10le"}),
            rendition(name="360p", width=640, height=360),
            rendition(name="540p", width=960, height=540),
        ),
        thumbs={7: 0},
    )

    chains = encode_graph(order).split(";")

    # Then what it means by PQ is filled in, and nothing that differs between chunks stays on the frames
    assert "setparams=color_primaries=9:color_trc=16:colorspace=9:range=1,sidedata=mode=delete" in chains[0]
    assert chains[0].endswith(",split=2[v0][s]")
    # and the HEVC rung stays as it is, the others come from one branch
    assert chains[1:] == [
        "[v0]scale=1280:720:flags=bicubic:out_range=tv,setsar=1,format=yuv420p10le[out0]",
        "[s]scale=960:540:flags=bicubic:out_range=tv,setsar=1,zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,"
        "tonemap=tonemap=mobius:peak=2.9557,zscale=t=bt709:m=bt709:r=tv,format=yuv420p,limiter=min=16:max=235:planes=1,"
        "split=3[v1][v2][t]",
        "[v1]scale=640:360:flags=bicubic:out_range=tv,setsar=1,format=yuv420p[out1]",
        "[v2]scale=960:540:flags=bicubic:out_range=tv,setsar=1,format=yuv420p[out2]",
        "[t]select=eq(n\\,7),scale=320:180:flags=bicubic:out_range=pc,setsar=1,format=yuvj420p[thumbs]",
    ]


def test_rungs_of_one_picture_have_it_scaled_once() -> None:
    # Given a size with two rates of bits, and a third rung of that size in another pixel format
    deep = rendition(name="deep").model_copy(update={"pixel_format": "yuv420p10le"})
    rungs = (rendition(name="low", crf=28), rendition(name="360p", width=640, height=360), rendition(name="high"), deep)

    chains = encode_graph(chunk_order(renditions=rungs)).split(";")

    assert chains[0].endswith(",split=3[v0][v1][v3]")
    assert chains[1:] == [
        "[v0]scale=1280:720:flags=bicubic:out_range=tv,setsar=1,format=yuv420p,split=2[out0][out2]",
        "[v1]scale=640:360:flags=bicubic:out_range=tv,setsar=1,format=yuv420p[out1]",
        "[v3]scale=1280:720:flags=bicubic:out_range=tv,setsar=1,format=yuv420p10le[out3]",
    ]


def test_rgb_gets_the_matrix_of_its_primaries_and_transparency_becomes_black() -> None:
    video = video_facts(colour={"color_primaries": "1"}, rgb=True, alpha=True)

    head, branch = encode_graph(chunk_order(video=video)).split(";")

    assert f"setparams=color_primaries=1,format=gbrap,premultiply=inplace=1,{STRIPPED},split" in head
    assert ":out_range=tv:out_color_matrix=bt709,setsar" in branch


def test_a_decoder_is_told_the_x264_that_the_first_packet_of_the_film_has_named() -> None:
    video = video_facts(rate=FILM_RATE).model_copy(update={"x264_build": 142})
    command = encode_command("ff", "chunk.nut", ".", chunk_order(video=video))
    assert command[command.index("-x264_build") :][:2] == ["-x264_build", "142"]
    assert command.index("-x264_build") < command.index("-i")


def test_the_largest_rung_is_the_first_output_but_keeps_its_own_branch() -> None:
    """ffmpeg's progress counts the frames of its first output."""
    order = chunk_order(renditions=(rendition(name="a", width=426, height=240), rendition(name="b")))

    command = encode_command("ff", "chunk.nut", "/t", order)

    maps = [command[at + 1] for at, word in enumerate(command) if word == "-map"]
    files = [word for word in command if word.startswith("/t/")]
    assert list(zip(maps, files, strict=True)) == [("[out1]", "/t/b.mp4"), ("[out0]", "/t/a.mp4")]
    assert "[v0]scale=426:240" in encode_graph(order)


@given(st.integers(2, 500))
def test_a_command_depends_on_absolute_time_alone(index: int) -> None:
    """Were a chunk's rule to depend on the chunk, seams would show."""
    # Given any chunk of a long film but the first
    span = FILM.chunk_span(index, None)

    # When its graph is made
    graph = encode_graph(chunk_order(span=span, thumbs={span.first + 7: 1}))
    second = encode_graph(chunk_order(span=FILM.chunk_span(1, None), thumbs={432 + 7: 1}))

    # Then only the times of its range differ from the second chunk's, and the thumbnail is counted from its start
    times = re.compile(r"[0-9]+\.[0-9]{9}")
    assert times.sub("...", graph) == times.sub("...", second)
    # and the start is written finely enough for its frame to be the nearest
    start = graph.partition("start_time=")[2].partition(":")[0]
    assert start == f"{float(span.first / FILM_RATE):.9f}"
    assert FILM.frame_at(Fraction(start)) == span.first


def test_the_shift_covers_what_a_source_may_have_before_its_first_frame() -> None:
    """5 s of early sound, negative decode times, the lead-in of an edit list."""
    assert SHIFT >= 30
