"""The settings of each video encoder. Pure: a rendition in, ffmpeg arguments out, a reason behind every flag."""

from __future__ import annotations

from raven.media.grid import Grid
from raven.model import Rendition


def x264_arguments(rendition: Rendition, grid: Grid) -> list[str]:
    """Encoder settings of a rendition: capped constant quality in closed GOPs on the grid."""
    parameters = {
        "keyint": str(grid.gop),  # an IDR every GOP, at exact frames
        "min-keyint": "1",
        "scenecut": "0",  # no keyframe but the grid's: segment borders equal in all rungs
        "open-gop": "0",  # each GOP decodes alone
        "stitchable": "1",  # headers do not depend on the content: one init segment for all chunks
        **rendition.options,
    }
    flags = [
        "-c:v", "libx264",
        "-preset", rendition.preset,
        "-crf", f"{rendition.crf:g}",  # constant quality: independent chunks do not step at the seams
        "-threads:v", str(rendition.threads),  # x264's output depends on it: fixed in the job
        "-x264-params", ":".join(f"{key}={value}" for key, value in parameters.items()),
        "-flags:v", "+bitexact",  # no encoder banner that differs between builds
    ]  # fmt: skip
    if rendition.maxrate is not None:
        # a cap on the peaks, so that BANDWIDTH means something
        flags += ["-maxrate", f"{rendition.maxrate}k", "-bufsize", f"{rendition.bufsize or 2 * rendition.maxrate}k"]
    if rendition.encoder_profile:
        flags += ["-profile:v", rendition.encoder_profile]
    return flags
