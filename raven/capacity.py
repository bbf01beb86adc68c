"""How much of a host an encode takes, and what fits beside what runs. Pure.

Counted is what an encode can use: cores that its threads keep busy, memory that it has resident. Both follow from its
rungs: those of a chunk are encoded side by side, so it is done when its largest is, and each encoder keeps so many
pictures of its own size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction

from raven.media.encoders import threads_of
from raven.messages import EncodeJob
from raven.model import Rendition

CORE = 1000
OVERBOOKED = Fraction(8, 5)
"""Work that is given to a core: no encode has all its threads busy all the time, and none has while it fetches and
stores. The default ladder of 1080p has 2 cores by this, with which 98 % of them are used (measured)."""
BASE = 96 << 20
"""Bytes: ffmpeg itself."""
SOURCE_BYTES = 24
"""For each pixel of the source: decoder and scalers. Measured: 12."""
RUNG_BYTES = {"libx264": 180, "libx265": 220, "libsvtav1": 230}
"""For each pixel of a rung: what its encoder looks ahead and keeps. Measured: 150 to 180, 165 to 204, 215."""
LEAST = 256 << 20
"""Bytes for which a host has a slot, as small as its jobs may be."""
MOST = 256
"""Slots."""


@dataclass(frozen=True)
class Share:
    """Of a host: thousandths of a core, and bytes of memory."""

    cores: int
    memory: int


USUAL = Share(3200, 1250 << 20)
"""Eight rungs of 1080p: for what a host is taken before it has had a job."""


def host(cpus: int, memory: int | None) -> Share:
    """What a host has to give; `memory` None where it is not known."""
    return Share(int(cpus * CORE * OVERBOOKED), 1 << 62 if memory is None else max(0, memory))


def encode_share(source_pixels: int, renditions: Iterable[Rendition]) -> Share:
    """Of an encode into these. Pixels are its work, whatever the encoder: at the presets of the profiles that differs
    less than films do (measured, CPU of x265 1.5 and of SVT-AV1 0.7 times that of x264)."""
    work = [(Fraction(r.width * r.height, r.every), r) for r in renditions]
    slowest = max((pixels / threads_of(r) for pixels, r in work), default=Fraction(0))
    cores = sum(pixels for pixels, _ in work) / slowest if slowest else Fraction(1)
    rungs = sum(r.width * r.height * RUNG_BYTES[r.codec] for _, r in work)
    return Share(max(CORE, int(cores * CORE)), BASE + SOURCE_BYTES * source_pixels + rungs)


def share_of(job: object) -> Share:
    """Of any job; the others' are as small as can be."""
    if not isinstance(job, EncodeJob):
        return Share(CORE, BASE)
    return encode_share(job.video.coded_width * job.video.coded_height, job.renditions)


def fits(whole: Share, taken: Collection[Share], more: Share) -> bool:
    """Whether `more` may run beside what runs. What is larger than the host runs alone."""
    return how_many(whole, taken, more) > 0


def how_many(whole: Share, taken: Collection[Share], like: Share) -> int:
    """So many like this fit beside what runs."""
    cores = whole.cores - sum(share.cores for share in taken)
    memory = whole.memory - sum(share.memory for share in taken)
    return max(0 if taken else 1, min(cores // like.cores, memory // like.memory))


def most_slots(whole: Share) -> int:
    """Slots for the smallest jobs that there are."""
    return max(1, min(whole.cores // CORE, whole.memory // LEAST, MOST))
