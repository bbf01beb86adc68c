"""The filters that bring a source's pictures onto the grid and into the shape of a rendition. Pure."""

from __future__ import annotations

from fractions import Fraction

from raven.media.grid import Grid, Span
from raven.media.hdr import STRIP, TAGS
from raven.model import VideoFacts

SHIFT = 60
"""Seconds added to all times in the chunk objects (cutting adds, encoding takes off).

NUT cannot carry times below zero, which nearly every MP4 with B-frames has; libavformat would shift such a
chunk silently by the B-frame delay.
"""


PARTS = 100_000
"""Parts of a second that times are rounded to before they are rounded to frames."""


def grid_filters(video: VideoFacts, grid: Grid, span: Span, tail: int) -> str:
    """Source times to grid frames, by a rule that depends on absolute time alone and so is equal in all chunks."""
    rate = _ratio(grid.rate)
    chain = [
        *([_beginning_in_time(grid, span)] if span.first else []),
        _own_captions(grid, span),
        "sidedata=mode=delete:type=DISPLAYMATRIX",  # of the bitstream: the output is upright and must not say otherwise
        # one size for the filters that keep pictures, should it change in mid-stream; else it does nothing
        *([f"scale={video.coded_width}:{video.coded_height}"] if _keeps_pictures(video) else []),
        *([deinterlace_filter(video)] if deinterlaced(video) else []),
        f"setpts=PTS-round({SHIFT}/TB)",  # takes the constant of the chunk objects off, exactly
        f"settb=expr={_fine(grid.rate)}",  # the range starts at an exact time: nearest frame, from absolute time
        # start_time: the range starts at its first frame, whatever the lead-in packets gave
        # pass: a last frame lasts to the next place of the grid, however short it is taken for (NUT has no durations)
        f"fps=fps={rate}:start_time={float(grid.time_of(span.first)):.9f}:eof_action=pass",
    ]
    if tail:
        chain.append(f"tpad=stop_mode=clone:stop={tail}")  # the last source frame lasts to the end of the grid
    return ",".join(chain)


def _keeps_pictures(video: VideoFacts) -> bool:
    """Whether there are filters that are set up for pictures of one size."""
    return bool(video.orient or video.crop or deinterlaced(video))


def every_filter(grid: Grid, every: int) -> str:
    """Every n-th frame of the grid, from the chunk's first one on."""
    # fps, not a count of frames, as it hands the captions of those left out on; round: of n frames the last one stays,
    # and no time stands half-way between two places
    return f"fps=fps={_ratio(grid.rate / every)}:round=up," if every > 1 else ""


def _fine(rate: Fraction) -> str:
    """About 10 us, an odd part of a frame. Rounding to it first changes no frame: half a frame lies between two parts.

    Coarse enough that `fps` finds its start time, which it takes in microseconds, on it exactly.
    """
    parts = min(int(PARTS / rate), ((1 << 31) - 1) // rate.numerator - 1) | 1  # ffmpeg counts in 32 bits
    return f"{rate.denominator}/{rate.numerator * parts}"


def deinterlaced(video: VideoFacts) -> bool:
    """Whether the chunk's pictures are still woven; conforming has taken fields apart already."""
    return video.interlaced != "no" and video.way == "copy"


def lead(video: VideoFacts) -> int:
    """Frames of the grid that a deinterlacer looks back and ahead: two of the source. A chunk carries them."""
    return 2 * (2 if video.fields else 1) if deinterlaced(video) else 0


def deinterlace_filter(video: VideoFacts) -> str:
    """One frame for each frame, at its time: the source's own rate stays (Apple HLS authoring 1.14); or one for each
    field (1.15)."""
    mode = "send_field" if video.fields else "send_frame"
    parity, frames = ("auto", "interlaced") if video.interlaced == "flagged" else (video.interlaced, "all")
    return f"bwdif=mode={mode}:parity={parity}:deint={frames}"


def _beginning_in_time(grid: Grid, span: Span) -> str:
    """Lets frames through from the first keyframe on, and none at all where that comes after the chunk's first frame.

    What some decoders give before a keyframe is garbage, and `fps` would fill a beginning that did not decode with
    what comes later; without a frame the worker sees it. The first chunk is left alone: nothing comes before it.
    """
    first = "(key+not(eq(pict_type\\,P)+eq(pict_type\\,B)))"  # not all decoders mark keyframes
    return f"select=gte(selected_n\\,1)+{first}*lt(t\\,{_border(grid, span.first + 1):.9f})"


def _own_captions(grid: Grid, span: Span) -> str:
    """Takes closed captions off the frames before and after the chunk, as other chunks have them.

    The deinterlacer and fps pass captions through a queue, which would carry them into this one.
    """
    first, last = (_border(grid, frame) for frame in (span.first, span.last))
    return f"sidedata=mode=delete:type=A53_CC:enable=lt(t\\,{first:.9f})+gte(t\\,{last:.9f})"


def _border(grid: Grid, frame: int) -> float:
    """Seconds in a chunk object from which on a picture is nearer to `frame` than to the one before."""
    return float(Fraction(2 * frame - 1, 2) / grid.rate) + SHIFT


def _ratio(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def picture_filters(video: VideoFacts, width: int, height: int, out_range: str = "tv") -> str:
    """The shape and the range of an output: limited for video, `pc` for JPEG."""
    return ",".join([*_crop(video), *video.orient, scale_filter(video, width, height, out_range), "setsar=1"])


def _crop(video: VideoFacts) -> list[str]:
    """Takes off what the container hides; as in ffmpeg itself, to the sample of colour."""
    if video.crop is None:
        return []
    left, right, top, bottom = video.crop
    width, height = video.coded_width - left - right, video.coded_height - top - bottom
    return [f"crop={width}:{height}:{left}:{top}"]


def scale_filter(video: VideoFacts, width: int, height: int, out_range: str = "tv") -> str:
    # full range becomes limited, which is what players take H.264 for whatever its flag says
    text = f"scale={width}:{height}:flags=bicubic:out_range={out_range}"
    # RGB has no matrix to keep: that of its primaries, as players assume; the stream states it
    return f"{text}:out_color_matrix={_matrix(video)}" if _without_matrix(video) else text


def _without_matrix(video: VideoFacts) -> bool:
    return video.rgb or video.alpha


def _matrix(video: VideoFacts) -> str:
    return "bt709" if video.video_range == "SDR" else "bt2020"


def colour_filters(video: VideoFacts) -> list[str]:
    """Tags of the container that the bitstream may lack, so that they reach the encoder's VUI; and no transparency."""
    tags = {**(TAGS if video.video_range != "SDR" else {}), **video.colour}
    if video.rgb:
        tags.pop("colorspace", None)
    chain = ["setparams=" + ":".join(f"{key}={value}" for key, value in sorted(tags.items()))] if tags else []
    if video.alpha:
        # over black, which is what a player shows around a picture
        chain += [f"format={'gbrap' if video.bit_depth <= 8 else 'gbrap16le'}", "premultiply=inplace=1"]
    return [*chain, *STRIP]
