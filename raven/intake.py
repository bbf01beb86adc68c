"""The one door to a source: a single file or pipe is opened for libavformat, counted, and nothing else ever is.

Runs in the child that works on untrusted bytes (see `master.cutter`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import av
from av.stream import Disposition

from raven.errors import NoDecoder, SourceRefused, SourceUnreadable
from raven.limits import Limits
from raven.media.formats import FORMATS, refused_list, scrambled

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

HEAD_BYTES = 1 << 20
"""Kept of the beginning, to say what a source is that cannot be read."""

PIECE_BYTES = 1 << 20
"""Of a file with holes."""
Bring = Callable[[int], None]
"""Makes a piece of a file with holes be there, by its number from 0."""


class OnlySource(io.RawIOBase):
    """The source as libavformat reads it, filled by `bring` before. Raises LimitExceeded past the limit of bytes."""

    def __init__(self, path: str, limits: Limits, bring: Bring | None = None) -> None:
        super().__init__()
        self.path, self._limits, self._bring = path, limits, bring
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123 - closed in close
        if self._file.seekable():
            limits.check_bytes(os.fstat(self._file.fileno()).st_size)
        self._head = bytearray()
        self._pieces: set[int] = set()

    def opened_by_libavformat(self, url: str, flags: int, options: Mapping[str, str]) -> OnlySource:
        """libavformat asks for each file and address here. Raises SourceRefused for all but the source itself."""
        if url != self.path:
            raise SourceRefused(f"the source refers to {url[:200]!r}, and nothing but the source itself is opened")
        return self

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def read(self, size: int = -1) -> bytes:
        at = self._file.tell() if self._file.seekable() else self._counted
        if self._bring is not None:
            self._fill(at, size, self._bring)
        block = self._file.read(size) or b""
        self._counted = at + len(block)
        self._limits.check_bytes(self._counted)
        if at == len(self._head) < HEAD_BYTES:
            self._head += block
        return block

    _counted = 0

    def _fill(self, at: int, size: int, bring: Bring) -> None:
        end = os.fstat(self._file.fileno()).st_size
        end = end if size < 0 else min(end, at + size)
        for piece in range(at // PIECE_BYTES, -(-end // PIECE_BYTES)):
            if piece not in self._pieces:
                bring(piece)
                self._pieces.add(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def tail(self) -> bytes:
        """The last HEAD_BYTES of a file, or all that it has."""
        at = self._file.tell()
        self._file.seek(max(0, os.fstat(self._file.fileno()).st_size - HEAD_BYTES))
        data = self.read(HEAD_BYTES)
        self._file.seek(at)
        return data

    @property
    def head(self) -> bytes:
        """What has been read of the beginning without a gap, up to HEAD_BYTES."""
        return bytes(self._head)

    def explain(self, error: SourceUnreadable | SourceRefused) -> SourceUnreadable | SourceRefused:
        """The better reason that the first bytes give for a source that could not be read or decoded."""
        head = self.head
        kind = refused_list(head)
        if kind:
            return SourceRefused(f"the source is {kind}, not a film; name the film that it leads to")
        if scrambled(head):
            return SourceRefused("the source is encrypted (its transport stream is scrambled); decrypt it first")
        return error


def demuxer_options(limits: Limits) -> dict[str, str]:
    """Options of libavformat and the decoders for untrusted bytes."""
    return {
        "format_whitelist": FORMATS,  # nothing that consists of references, no device, no generator
        "protocol_whitelist": "file",  # OnlySource opens the file; whatever passes it by reaches no other protocol
        "enable_drefs": "0",  # a QuickTime reference movie
        "max_streams": str(limits.streams + 1),  # one more, so that the refusal can say that there are too many
        "max_pixels": str(limits.pixels),  # no decoder allocates more than this, also where the size changes later
    }


def open_door(door: OnlySource, options: dict[str, str]) -> tuple[InputContainer, str]:
    """The source as a container, and libavformat's complaints. Raises SourceUnreadable, or what the door raises."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    complaints: list[tuple[int, str, str]] = []
    try:
        with av.logging.Capture() as complaints:
            container = av.open(
                door.path, options=options, metadata_errors="replace", io_open=door.opened_by_libavformat
            )
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if "not on whitelist" in "".join(text for _, _, text in complaints):
            reason = "its format is none that Raven reads"
        raise SourceUnreadable(f"the source cannot be read as audio or video: {reason}") from error
    finally:
        av.logging.set_level(before)
    return container, "".join(text for _, _, text in complaints)


def check_container(container: InputContainer, limits: Limits, complaints: str, *, with_video: bool) -> None:
    """Raises LimitExceeded for too many streams or too large a picture, NoDecoder for what nothing here decodes."""
    limits.check_streams(len(container.streams))
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic] if with_video else []
    contexts = [s.codec_context for s in films if getattr(s, "codec_context", None) is not None]
    sizes = [(context.width, context.height) for context in contexts]
    if contexts and not any(width * height for width, height in sizes):  # its decoder has refused it already
        sizes += [(int(w), int(h)) for w, h in re.findall(r"Picture size (\d+)x(\d+) ", complaints)]
    for width, height in sizes:
        limits.check_picture(width, height)
    for context in contexts:
        context.options = {**context.options, "max_pixels": str(limits.pixels)}
    if films and not contexts:
        raise _no_decoder(container, films[0])
    sounds = container.streams.audio
    if sounds and not films and not any(getattr(s, "codec_context", None) for s in sounds):
        raise _no_decoder(container, sounds[0])


def _no_decoder(container: InputContainer, stream: Stream) -> SourceRefused:
    coded = codec_names(container).get(stream.index, "an unknown codec")
    text = f"the {stream.type} is coded as {coded}, which ffmpeg cannot decode; convert it where it was made"
    # the shipped ffmpeg has libdavs2, but gives many of its frames the time of one
    return SourceRefused(text) if coded.startswith("avs2") else NoDecoder(text)


def codec_names(container: InputContainer) -> dict[int, str]:
    """The codec of each stream by its index, as libavformat spells it: a name, or the four characters of the container.

    PyAV tells nothing of a stream without decoder, so this reads libavformat's own listing.
    """
    pattern = r"^ *Stream #\d+:(\d+)[^:\n]*: (?:Video|Audio|Subtitle): ([^,\n]+)"
    found = re.findall(pattern, _listing(container), re.MULTILINE)
    return {int(index): re.sub(r"^none \((.*)\)$", r"\1", name.strip()) for index, name in found}


def check_colours(container: InputContainer, video: Stream) -> None:
    """Raises SourceRefused for Dolby Vision whose base layer is none by itself (profile 5; 10.0), for lack of a decoder
    that turns it into any other colours."""
    record = re.search(
        r"DOVI configuration record:.*\bprofile: (\d+),.*\bcompatibility id: 0\b", _about(container, video)
    )
    if record:
        raise SourceRefused(
            f"the video is Dolby Vision profile {record[1]}, whose colours are wrong on anything else, and no"
            " decoder here converts it; export it as HDR10, as Dolby Vision profile 8, or as SDR"
        )


def hidden_edges(container: InputContainer, video: Stream) -> tuple[int, int, int, int] | None:
    """Pixels of each decoded picture that the container says are not shown: left, right, top, bottom (Matroska
    PixelCrop, RFC 9559 5.1.4.1.28; clap, ISO/IEC 14496-12 12.1.4). PyAV tells nothing of them."""
    told = re.search(r"^ *Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)$", _about(container, video), re.MULTILINE)
    return (int(told[1]), int(told[2]), int(told[3]), int(told[4])) if told else None


def _about(container: InputContainer, stream: Stream) -> str:
    """What the listing says of one stream."""
    about = re.split(r"^ *Stream #\d+:(\d+)", _listing(container), flags=re.MULTILINE)
    return dict(zip(about[1::2], about[2::2], strict=True)).get(str(stream.index), "")


def _listing(container: InputContainer) -> str:
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        return str(cast("Any", container).dumps_format())  # its stubs have forgotten it
    finally:
        av.logging.set_level(before)


def check_packets(packets: Iterable[Any]) -> None:
    """Raises SourceRefused when packets are encrypted (ISO/IEC 23001-7, WebM content encryption)."""
    if any(packet.has_sidedata("encryption_info") for packet in packets):
        raise SourceRefused("the source is encrypted (common encryption, DRM); decrypt it first")
