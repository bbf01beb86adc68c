"""A small conformant tree in memory, with all that the checker knows of: two rungs with B-frames, stereo and surround
in two languages, I-frame playlists, subtitles, trick mode and thumbnails. Each test breaks one thing in it.

15 s at 25 frames/s in segments of 6, 6 and 3 s with a GOP a second.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from raven.check.load import find_manifests, load
from raven.check.readers import ReadError, Redirected
from raven.check.tree import Served, Tree
from raven.media import boxes
from raven.media.boxes import box
from raven.media.grid import Grid, Span
from tests.builders import FakeFragment, FakeSample, aac_entry, fragment, gop
from tests.paff import Bits

GRID = Grid.of(Fraction(25), Fraction(1), 6, 3)
SPANS = (Span(0, 150), Span(150, 300), Span(300, 375))
PACKETS = (281, 282, 141)
PACKET_BYTES = 100
"""Of sound: 37.5 kbit/s."""
RUNGS = {"360p": (640, 360), "540p": (960, 540)}
STYP = boxes.type_box("styp", "cmfs", "msdh")
LANGUAGES = {"en": "English", "de": "Deutsch"}
GROUPS = {"stereo": (2, b"\x11\x90"), "surround": (6, b"\x11\xb0")}
"""Channels and AudioSpecificConfig of the audio groups: AAC-LC at 48 kHz."""

MPD_AND_PLAYLISTS = ("manifest.mpd", "master.m3u8", "360p/list.m3u8", "360p/iframes.m3u8", "text/list.m3u8")

JPEG = b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", 360, 640) + b"\3" + bytes(50)
"""The beginning of a picture of 640x360."""
UNITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

Files = dict[str, bytes]


# init segments


def full(kind: str, version: int, flags: int, *payload: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def sps(size: tuple[int, int] = (640, 360), profile: int = 0x64, level: int = 0x1F, *, fields: bool = False) -> bytes:
    """The sequence parameter set of H.264, without VUI; what whole macroblocks have too much is cropped."""
    width, height = size
    unit = 32 if fields else 16
    bits = Bits().u((8, profile), (8, 0), (8, level)).ue(0)
    if profile in (0x64, 0xF4):
        bits.ue(1, 0, 0).u((2, 0))
    bits.ue(0, 2, 1).u((1, 0)).ue(-(-width // 16) - 1, -(-height // unit) - 1)
    bits.u((1, not fields), *([(1, 0)] if fields else []), (1, 1), (1, 1))
    bits.ue(0, -width % 16 // 2, 0, -height % unit // (4 if fields else 2)).u((1, 0))
    return bits.unit(0x67)[4:]


def avcc(
    profile: int = 0x64, level: int = 0x1F, sets: bytes | None = None, size: tuple[int, int] = (640, 360)
) -> bytes:
    """With the parameter set `sets`, b"" for none; by default one that fits."""
    first = sps(size, profile, level) if sets is None else sets
    pps = b"\x68\xee\x3c\x80"
    units = [b"\xe1" + struct.pack(">H", len(first)) + first, b"\1" + struct.pack(">H", len(pps)) + pps]
    return box("avcC", bytes([1, profile, 0, level, 0xFF]), *(units if first else [b"\xe0\0"]))


def hvcc(profile: int = 2, level: int = 120, *, high: bool = False) -> bytes:
    head = bytes([1, high << 5 | profile]) + struct.pack(">I", 0x20000000) + b"\x90\0\0\0\0\0" + bytes([level])
    return box("hvcC", head, b"\xf0\0\xfc\xfd\xfa\xfa\0\0\x0f\0")


def av1c(level: int = 8, bits: int = 8) -> bytes:
    return box("av1C", bytes([0x81, level, 0x40 if bits == 10 else 0, 0]))


def visual_entry(
    size: tuple[int, int], kind: str = "avc1", configuration: bytes | None = None, *more: bytes, transfer: int = 1
) -> bytes:
    """A VisualSampleEntry with pasp and colr."""
    head = bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", *size) + bytes(50)
    colour = box("colr", b"nclx", struct.pack(">HHHB", 1, transfer, 1, 0))
    shape = box("pasp", struct.pack(">II", 1, 1))
    return box(kind, head, avcc(size=size) if configuration is None else configuration, colour, shape, *more)


def protection(encrypted: int, clear: int, scheme: str = "cbcs", vector: int = 16) -> bytes:
    """sinf of a protected avc1, with the pattern of its tenc."""
    tenc = full("tenc", 1, 0, bytes([0, encrypted << 4 | clear, 1, 0]), bytes(16), bytes([vector]), bytes(vector))
    return box("sinf", box("frma", b"avc1"), full("schm", 0, 0, scheme.encode(), bytes(4)), box("schi", tenc))


def init(
    handler: str,
    timescale: int,
    entry: bytes,
    *,
    brands: Sequence[str] = ("iso6", "cmfc"),
    edits: Sequence[tuple[int, int]] = (),
    tracks: int = 1,
    mvex: bool = True,
    language: str = "und",
    samples: int = 0,
    loudness: bool = True,
) -> bytes:
    """An init segment with the boxes of CMAF 7.3.1; `edits` are durations and media times."""
    packed = sum((ord(c) - 0x60) << shift for c, shift in zip(language, (10, 5, 0), strict=True))
    mdhd = full("mdhd", 0, 0, bytes(8), struct.pack(">IIHH", timescale, 0, packed, 0))
    hdlr = full("hdlr", 0, 0, bytes(4), handler.encode(), bytes(13))
    stsd = full("stsd", 0, 0, struct.pack(">I", 1), entry)
    stsz = full("stsz", 0, 0, struct.pack(">II", 0, samples))
    tables = [full(kind, 0, 0, bytes(4)) for kind in ("stts", "stsc", "stco")]
    header = full({"vide": "vmhd", "soun": "smhd"}.get(handler, "nmhd"), 0, 0, bytes(8))
    dinf = box("dinf", full("dref", 0, 0, struct.pack(">I", 1), full("url ", 0, 1)))
    mdia = box("mdia", mdhd, hdlr, box("minf", header, dinf, box("stbl", stsd, stsz, *tables)))
    sides = struct.unpack_from(">HH", entry, 32) if handler == "vide" else (0, 0)
    size = struct.pack(">II", *(side << 16 for side in sides))
    tkhd = full("tkhd", 0, 7, bytes(8), struct.pack(">II", 1, 0), bytes(20), UNITY, size)
    rows = b"".join(struct.pack(">IiI", duration, media, 0x10000) for duration, media in edits)
    elst = box("edts", full("elst", 0, 0, struct.pack(">I", len(edits)), rows)) if edits else b""
    trex = box("mvex", full("trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0x01010000))) if mvex else b""
    udta = box("udta", box("ludt")) if handler == "soun" and loudness else b""
    mvhd = full("mvhd", 0, 0, bytes(16), struct.pack(">iH", 0x10000, 0x100), bytes(10), UNITY, bytes(28))
    return boxes.type_box("ftyp", *brands) + box("moov", mvhd, *([box("trak", tkhd, elst, mdia, udta)] * tracks), trex)


def video_init(size: tuple[int, int], entry: bytes | None = None, **more: object) -> bytes:
    """Of a rung; one frame of B-frame delay is edited away."""
    options = {"edits": ((0, GRID.frame_ticks),), **more}
    return init("vide", GRID.timescale, entry or visual_entry(size), **options)  # type: ignore[arg-type]


def audio_init(channels: int, config: bytes, **more: object) -> bytes:
    return init("soun", 48000, aac_entry(config), **more)  # type: ignore[arg-type]


# segments


def video_fragments(span: Span) -> list[FakeFragment]:
    return [gop(GRID, at, min(25, span.last - at)) for at in range(span.first, span.last, 25)]


def segment(first: int, fragments: Sequence[FakeFragment]) -> bytes:
    """A styp and fragments numbered from `first`."""
    return STYP + b"".join(fragment(n, f) for n, f in enumerate(fragments, first))


def audio_fragment(index: int) -> FakeFragment:
    start = 1024 * sum(PACKETS[:index])
    return FakeFragment(start, [FakeSample(bytes(PACKET_BYTES), 1024, sync=True)] * PACKETS[index])


# manifests


def playlist(durations: Sequence[Fraction], names: Sequence[str], *, map_uri: str | None = "init.mp4") -> str:
    head = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:6",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]
    if map_uri:
        head.append(f'#EXT-X-MAP:URI="{map_uri}"')
    body = [line for d, n in zip(durations, names, strict=True) for line in (f"#EXTINF:{float(d):.6f},", n)]
    return "\n".join([*head, *body, "#EXT-X-ENDLIST", ""])


VIDEO_TIMES = [Fraction(span.frames, 25) for span in SPANS]
AUDIO_TIMES = [Fraction(n * 1024, 48000) for n in PACKETS]
NAMES = ["1.m4s", "2.m4s", "3.m4s"]


def _peak(files: Files, folder: str, times: Sequence[Fraction]) -> tuple[int, int]:
    """Peak (of any segment) and average, bit/s."""
    sizes = [len(files[f"{folder}/{name}"]) for name in NAMES]
    return round(max(8 * s / t for s, t in zip(sizes, times, strict=True))), round(8 * sum(sizes) / sum(times))


def _iframes(files: Files, rung: str) -> str:
    """The first picture of each fragment, by byte ranges that begin at its moof."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-I-FRAMES-ONLY",
    ]
    lines.append('#EXT-X-MAP:URI="init.mp4"')
    for name in NAMES:
        data = files[f"{rung}/{name}"]
        top = list(boxes.boxes(data))
        for moof, mdat in pairwise(top):
            if moof.kind == "moof":
                lines += ["#EXTINF:1.0,", f"#EXT-X-BYTERANGE:{mdat.payload + 40 - moof.start}@{moof.start}", name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _multivariant(files: Files) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for group, (channels, _) in GROUPS.items():
        for code, label in LANGUAGES.items():
            chosen = "YES" if code == "en" else "NO"
            lines.append(
                f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{group}",NAME="{label}",LANGUAGE="{code}",DEFAULT={chosen},'
                f'AUTOSELECT=YES,CHANNELS="{channels}",URI="{group}-{code}/list.m3u8"'
            )
    lines.append(
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="English",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=YES,'
        'FORCED=NO,URI="text/list.m3u8"'
    )
    lines.append('#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",LANGUAGE="en",INSTREAM-ID="CC1"')
    for group in GROUPS:
        sound = _peak(files, f"{group}-en", AUDIO_TIMES)
        for rung, (width, height) in RUNGS.items():
            peak, average = (a + b for a, b in zip(_peak(files, rung, VIDEO_TIMES), sound, strict=True))
            lines += [
                f"#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},"
                f'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION={width}x{height},FRAME-RATE=25.000,VIDEO-RANGE=SDR,'
                f'AUDIO="{group}",SUBTITLES="text",CLOSED-CAPTIONS="cc"',
                f"{rung}/list.m3u8",
            ]
    for rung, (width, height) in RUNGS.items():
        ranges = [line for line in files[f"{rung}/iframes.m3u8"].decode().splitlines() if "BYTERANGE" in line]
        peak = 8 * max(int(line.partition(":")[2].partition("@")[0]) for line in ranges)
        lines.append(
            f'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak},CODECS="avc1.64001f",RESOLUTION={width}x{height},'
            f'URI="{rung}/iframes.m3u8"'
        )
    return "\n".join([*lines, ""])


_MPD = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="urn:mpeg:dash:profile:cmaf:2019"
 mediaPresentationDuration="PT15S" maxSegmentDuration="PT6.1S" minBufferTime="PT6.1S"><Period id="0" start="PT0S">
<AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">{video}
</AdaptationSet>
{audio}
<AdaptationSet id="8" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
 <EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="0"/>{trick}
</AdaptationSet>
<AdaptationSet id="9" contentType="image" mimeType="image/jpeg">
 <SegmentTemplate timescale="1" duration="10" media="tiles/$Number$.jpg"/>
 <Representation id="tiles" bandwidth="1000" width="640" height="360">
  <EssentialProperty schemeIdUri="http://dashif.org/guidelines/thumbnail_tile" value="2x2"/></Representation>
</AdaptationSet>
</Period></MPD>
"""


def _template(ticks: Sequence[int], timescale: int) -> str:
    rows = "".join(f'<S d="{d}"/>' if n else f'<S t="0" d="{d}"/>' for n, d in enumerate(ticks))
    return (
        f'<SegmentTemplate timescale="{timescale}" initialization="$RepresentationID$/init.mp4"'
        f' media="$RepresentationID$/$Number$.m4s"><SegmentTimeline>{rows}</SegmentTimeline></SegmentTemplate>'
    )


def _video_representation(files: Files, rung: str, name: str) -> str:
    width, height = RUNGS[rung]
    return (
        f'<Representation id="{name}" bandwidth="{_peak(files, rung, VIDEO_TIMES)[0]}" codecs="avc1.64001f"'
        f' width="{width}" height="{height}" frameRate="25" sar="1:1">'
        + _template([s.frames * GRID.frame_ticks for s in SPANS], GRID.timescale).replace("$RepresentationID$", rung)
        + "</Representation>"
    )


def _audio_set(files: Files, number: int, group: str, language: str) -> str:
    folder = f"{group}-{language}"
    return (
        f'<AdaptationSet id="{number}" contentType="audio" mimeType="audio/mp4" lang="{language}"'
        ' segmentAlignment="true">'
        '<Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>'
        + _template([n * 1024 for n in PACKETS], 48000)
        + f'<Representation id="{folder}" bandwidth="{_peak(files, folder, AUDIO_TIMES)[0]}" codecs="mp4a.40.2"'
        ' audioSamplingRate="48000"><AudioChannelConfiguration'
        f' schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="{GROUPS[group][0]}"/>'
        "</Representation></AdaptationSet>"
    )


def _mpd(files: Files) -> str:
    folders = [(group, language) for group in GROUPS for language in LANGUAGES]
    return _MPD.format(
        video="".join(_video_representation(files, rung, rung) for rung in RUNGS),
        audio="".join(_audio_set(files, n, *folder) for n, folder in enumerate(folders, 1)),
        trick=_video_representation(files, "360p", "trick"),
    )


# the tree


def good_files() -> Files:
    """All files of the tree, by path."""
    files: Files = {}
    for rung, size in RUNGS.items():
        files[f"{rung}/init.mp4"] = video_init(size)
        for n, (span, name) in enumerate(zip(SPANS, NAMES, strict=True)):
            files[f"{rung}/{name}"] = segment(1 + 6 * n, video_fragments(span))
        files[f"{rung}/list.m3u8"] = playlist(VIDEO_TIMES, NAMES).encode()
        files[f"{rung}/iframes.m3u8"] = _iframes(files, rung).encode()
    for group, (channels, config) in GROUPS.items():
        for language in LANGUAGES:
            folder = f"{group}-{language}"
            files[f"{folder}/init.mp4"] = audio_init(channels, config)
            for n, name in enumerate(NAMES):
                files[f"{folder}/{name}"] = segment(1 + n, [audio_fragment(n)])
            files[f"{folder}/list.m3u8"] = playlist(AUDIO_TIMES, NAMES).encode()
    head = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"
    texts = ["1.vtt", "2.vtt", "3.vtt"]
    for name, at in zip(texts, (1, 7, 13), strict=True):
        files[f"text/{name}"] = f"{head}00:00:{at:02d}.000 --> 00:00:{at + 1:02d}.000\nHello\n".encode()
    files["text/list.m3u8"] = playlist(VIDEO_TIMES, texts, map_uri=None).encode()
    files |= {"tiles/1.jpg": JPEG, "tiles/2.jpg": JPEG}
    files["master.m3u8"] = _multivariant(files).encode()
    files["manifest.mpd"] = _mpd(files).encode()
    return files


@dataclass
class MemoryReader:
    """A tree in memory, as a folder or as a web server would give it."""

    files: Files
    origin: str | None = None
    delivery: Mapping[str, Served] | None = None
    parallel: int = 1
    moved: str = ""
    """The path that a web server answers with a redirect."""

    def read(self, path: str, start: int, length: int) -> bytes:
        return self._file(path)[start : start + length]

    def size(self, path: str) -> int:
        return len(self._file(path))

    def expect(self, paths: Collection[str]) -> None:
        pass

    def _file(self, path: str) -> bytes:
        if path == self.moved:
            raise Redirected("the server answers 302 Found to elsewhere")
        if path not in self.files:
            raise ReadError("there is no such file")
        return self.files[path]

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path for path in self.files if "/" not in path))

    def served(self) -> Mapping[str, Served]:
        return self.delivery or {}


def tree_of(reader: MemoryReader) -> Tree:
    return load(reader, find_manifests(reader), "film")
