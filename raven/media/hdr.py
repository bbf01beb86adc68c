"""HDR: what a source says of it, what encoders are told, and the way down to SDR. Pure.

PQ and HLG sources stay what they are in HEVC and AV1 (HDR10, HLG); H.264, the I-frames and the thumbnails are SDR.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction

from raven.media.grid import round_nearest
from raven.model import ColourTag, Encoder, MasteringDisplay, VideoFacts

WHITE = 203
"""cd/m2 of diffuse white in HDR (ITU-R BT.2408), which becomes the white of SDR."""
PEAK = 1000
"""cd/m2 of the brightest spot where the source states none: what HLG is made for, and most of HDR10."""
TAGS: Mapping[ColourTag, str] = {"color_primaries": "9", "colorspace": "9", "range": "1"}
"""What PQ and HLG mean where a source states nothing else (ITU-R BT.2100): BT.2020, limited range."""
_DYNAMIC = (
    "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_RPU_BUFFER",
    "DOVI_METADATA", "AMBIENT_VIEWING_ENVIRONMENT",
)  # fmt: skip
_RATIONALS, _FLAGS = 10, 2  # of libavutil's AVMasteringDisplayMetadata


def mastering_display(raw: bytes) -> MasteringDisplay | None:
    """From libavutil's structure: x and y of red, green, blue and white, the least and the most light; all or none."""
    if len(raw) < 4 * (2 * _RATIONALS + _FLAGS):
        return None
    numbers = struct.unpack_from(f"<{2 * _RATIONALS + _FLAGS}i", raw)
    if not all(numbers[2 * _RATIONALS :]) or not all(numbers[1 : 2 * _RATIONALS : 2]):
        return None
    values = [Fraction(numbers[2 * i], numbers[2 * i + 1]) for i in range(_RATIONALS)]
    x = [round_nearest(value * 50_000) for value in values[:8]]
    minimum, maximum = (round_nearest(value * 10_000) for value in values[8:])
    if not all(0 <= value <= 50_000 for value in x) or not 0 <= minimum < maximum < 1 << 32:
        return None
    return MasteringDisplay(
        red=(x[0], x[1]), green=(x[2], x[3]), blue=(x[4], x[5]), white=(x[6], x[7]), maximum=maximum, minimum=minimum
    )


def content_light(raw: bytes) -> tuple[int, int] | None:
    """MaxCLL and MaxFALL from libavutil's structure; None where both are unknown."""
    if len(raw) < 8:
        return None
    most, average = struct.unpack_from("<II", raw)
    return (most, average) if 0 < most < 1 << 16 and average < 1 << 16 else None


def metadata_options(codec: Encoder, video: VideoFacts) -> dict[str, str]:
    """The parameters by which an encoder writes the static metadata of HDR10 (Apple 1.35)."""
    if codec == "libx264" or video.video_range == "SDR":
        return {}
    options = {}
    if video.mastering:
        options["master-display" if codec == "libx265" else "mastering-display"] = _display(codec, video.mastering)
    if video.light:
        options["max-cll" if codec == "libx265" else "content-light"] = ",".join(map(str, video.light))
    return options


def _display(codec: Encoder, display: MasteringDisplay) -> str:
    """x265 takes the integers of the SEI message, SVT-AV1 decimals."""
    points = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    light = (display.maximum, display.minimum)
    if codec == "libx265":
        return "".join(f"{name}({x},{y})" for name, (x, y) in points.items()) + f"L({light[0]},{light[1]})"
    text = "".join(f"{name}({x / 50_000:.5f},{y / 50_000:.5f})" for name, (x, y) in points.items())
    return f"{text}L({light[0] / 10_000:.4f},{light[1] / 10_000:.4f})"


STRIP = tuple(f"sidedata=mode=delete:type={kind}" for kind in _DYNAMIC)
"""Takes metadata off the frames: the job tells what holds for all chunks, where a chunk may see none or another. Films
that say nothing of HDR have it too, left over from what they were made of."""


def tone_map(video: VideoFacts) -> str:
    """HDR to SDR in linear light: diffuse white becomes white, what is brighter is pressed into the rest."""
    return ",".join(
        [
            f"zscale=t=linear:npl={WHITE}",
            "format=gbrpf32le",  # tonemap works in floating point alone
            "zscale=p=bt709",
            # the peak is told, else it would come from the metadata of the frame at hand, and chunks would differ;
            # mobius leaves the middle tones as they are
            f"tonemap=tonemap=mobius:peak={_peak(video) / WHITE:.4f}",
            "zscale=t=bt709:m=bt709:r=tv",
            "format=yuv420p",
            "limiter=min=16:max=235:planes=1",  # what is brighter than the stated peak
        ]
    )


def _peak(video: VideoFacts) -> float:
    """cd/m2 of the brightest spot, as far as the source says."""
    stated = [video.mastering.maximum / 10_000] if video.mastering else []
    stated += [float(video.light[0])] if video.light else []
    return max(min(stated, default=PEAK), 1.5 * WHITE)
