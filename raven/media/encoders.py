"""The settings of each video encoder. Pure: a rendition in, ffmpeg arguments out, a reason behind every flag."""

from __future__ import annotations

from collections.abc import Mapping

from raven.media.grid import Grid, Span
from raven.model import Rendition

NONE = Span(0, 0)


def encoder_arguments(rendition: Rendition, grid: Grid, spare: Span = NONE) -> list[str]:
    """Encoder settings of a rendition: capped constant quality in closed GOPs on the grid.

    `spare`: of the frames that it is given, those that are thrown away.
    """
    gop = grid.gop // rendition.every
    flags = [
        "-c:v", rendition.codec,
        "-preset", rendition.preset,
        "-crf", f"{rendition.crf:g}",  # constant quality: independent chunks do not step at the seams
        *_OWN[rendition.codec](rendition, gop, spare),
        "-flags:v", "+bitexact",  # no encoder banner that differs between builds
    ]  # fmt: skip
    if rendition.maxrate is not None:
        # a cap on the peaks, so that BANDWIDTH means something
        flags += ["-maxrate", f"{rendition.maxrate}k", "-bufsize", f"{rendition.bufsize or 2 * rendition.maxrate}k"]
    if rendition.encoder_profile:
        flags += ["-profile:v", rendition.encoder_profile]
    return flags


def threads_of(rendition: Rendition) -> int:
    """How many its encoder has. SVT-AV1 with a cap gives the same bytes twice only with one."""
    return 1 if rendition.codec == "libsvtav1" and rendition.maxrate is not None else rendition.threads


def _x264(rendition: Rendition, gop: int, spare: Span) -> list[str]:
    # each chunk is a film to x264, whose first IDR would have a quantiser 1.4 times that of all others: these have
    # `ipratio` taken off what the P-frames before them had. Its share of the rate times 1.4 makes it their equal
    zones = ["0,0,b=1.4"]
    if spare.frames and rendition.threads == 1:
        # what is thrown away is made as cheaply as can be. It is coded last and begins with an IDR, so with one thread
        # no frame before it changes by a bit; with more, the rate control of those in work at the time would see it
        zones.append(f"{spare.first},{spare.last - 1},q=51,ref=1,me=dia,subme=0,trellis=0")
    parameters = {
        "keyint": str(gop),  # an IDR every GOP, at exact frames
        "min-keyint": "1",
        "scenecut": "0",  # no keyframe but the grid's: segment borders equal in all rungs
        "open-gop": "0",  # each GOP decodes alone
        "stitchable": "1",  # headers do not depend on the content: one init segment for all chunks
        "zones": "/".join(zones),
        **rendition.options,
    }
    if parameters["keyint"] == "1":
        del parameters["zones"]  # of I-frames alone all are treated as the first one
    if rendition.maxrate is not None:
        # as full as the buffer is between GOPs where the cap binds; by x264's own 0.9 each chunk would overdraw it
        parameters.setdefault("vbv-init", "0.7")
    return [
        "-threads:v", str(rendition.threads),  # x264's output depends on it: fixed in the job
        "-x264-params", _joined(parameters),
    ]  # fmt: skip


def _x265(rendition: Rendition, gop: int, _: Span) -> list[str]:
    parameters = {
        "keyint": str(gop),  # an IDR every GOP, at exact frames
        "min-keyint": "1",
        "scenecut": "0",  # no keyframe but the grid's
        "open-gop": "0",  # IDR, not CRA, which may have leading pictures of the GOP before (Apple 7.4)
        "info": "0",  # no SEI with the build and all settings
        "pools": str(rendition.threads),  # threads, not what this machine has
        "frame-threads": "1",  # more of them change the output with the load of the machine
        "const-vbv": "1",  # else the cap depends on which row is ready first
        "log-level": "0",  # errors only
        **rendition.options,
    }
    return [
        "-a53cc", "1",  # closed captions; x264 has them without asking
        "-tag:v", "hvc1",  # parameter sets in the init segment alone (Apple 1.10); ffmpeg's own choice is hev1
        "-x265-params", _joined(parameters),
    ]  # fmt: skip


def _svt_av1(rendition: Rendition, gop: int, _: Span) -> list[str]:
    parameters = {
        "keyint": str(gop),  # a key frame every GOP, at exact frames
        "irefresh-type": "2",  # key frames that close the GOP, not forward key frames
        "scd": "0",  # no key frame but the grid's
        "lp": str(threads_of(rendition)),
        **rendition.options,
    }
    return ["-svtav1-params", _joined(parameters)]


def _joined(parameters: Mapping[str, str]) -> str:
    return ":".join(f"{key}={value}" for key, value in parameters.items())


_OWN = {"libx264": _x264, "libx265": _x265, "libsvtav1": _svt_av1}
