"""For every rule of the checker one way to break it in the good tree of `tests.trees`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction

from raven.check.tree import Served
from raven.media import boxes
from raven.media.boxes import box
from tests.builders import SEI, SLICE, FakeFragment, FakeSample, aac_entry, gop, nal
from tests.trees import (
    GRID,
    GROUPS,
    JPEG,
    LANGUAGES,
    NAMES,
    RUNGS,
    SPANS,
    STYP,
    MemoryReader,
    audio_init,
    av1c,
    avcc,
    full,
    hvcc,
    init,
    playlist,
    protection,
    segment,
    sps,
    video_fragments,
    video_init,
    visual_entry,
)

Mutation = Callable[[MemoryReader], None]
SMALL = RUNGS["360p"]
MASTER, MPD, MEDIA, SOUND, TRICK = (
    "master.m3u8", "manifest.mpd", "360p/list.m3u8", "stereo-en/list.m3u8", "360p/iframes.m3u8",
)  # fmt: skip


# ways to break


def swap(path: str, old: str, new: str, count: int = -1) -> Mutation:
    """Other text in a file."""

    def mutate(reader: MemoryReader) -> None:
        text = reader.files[path].decode()
        assert old in text, f"{old} is not in {path}"
        reader.files[path] = text.replace(old, new, count).encode()

    return mutate


def append(path: str, text: str) -> Mutation:
    """One more line at the end."""
    return lambda reader: reader.files.update({path: reader.files[path] + text.encode() + b"\n"})


def put(path: str, content: bytes) -> Mutation:
    return lambda reader: reader.files.update({path: content})


def drop(path: str) -> Mutation:
    return lambda reader: reader.files.__delitem__(path)


def both(*mutations: Mutation) -> Mutation:
    def mutate(reader: MemoryReader) -> None:
        for one in mutations:
            one(reader)

    return mutate


def line(path: str, start: str, new: str | None) -> Mutation:
    """Every line that starts so becomes `new`, or goes."""

    def mutate(reader: MemoryReader) -> None:
        lines = reader.files[path].decode().splitlines()
        assert any(text.startswith(start) for text in lines), f"no line {start} in {path}"
        kept = [new if text.startswith(start) else text for text in lines]
        reader.files[path] = "\n".join(text for text in kept if text is not None).encode() + b"\n"

    return mutate


def video(entry: bytes | None = None, rungs: Iterable[str] = RUNGS, **more: object) -> Mutation:
    """Other init segments for the rungs."""
    return both(*(put(f"{rung}/init.mp4", video_init(RUNGS[rung], entry, **more)) for rung in rungs))


def audio(entry: bytes, folders: Iterable[str] = (), **more: object) -> Mutation:
    chosen = tuple(folders) or tuple(f"{g}-{c}" for g in GROUPS for c in LANGUAGES)
    made = init("soun", 48000, entry, **more)  # type: ignore[arg-type]
    return both(*(put(f"{folder}/init.mp4", made) for folder in chosen))


def codecs(value: str) -> Mutation:
    return swap(MASTER, '"avc1.64001f,mp4a.40.2"', f'"{value}"')


def served(mime: str = "application/vnd.apple.mpegurl", *, gzip: bool = True, scheme: str = "https") -> Mutation:
    def mutate(reader: MemoryReader) -> None:
        reader.origin, reader.delivery = f"{scheme}://media.example", {MASTER: Served(mime, gzip)}

    return mutate


def moved(path: str) -> Mutation:
    """A web server that answers with a redirect."""
    return lambda reader: setattr(reader, "moved", path)


def fragments(change: Callable[[FakeFragment], FakeFragment], path: str = "360p/2.m4s") -> Mutation:
    """A change to the first fragment of the second segment of a rung."""
    first, *rest = video_fragments(SPANS[1])
    return put(path, segment(7, [change(first), *rest]))


def samples(change: Callable[[FakeSample], FakeSample], index: int = 0) -> Mutation:
    """A change to one sample of that fragment."""

    def mutate(found: FakeFragment) -> FakeFragment:
        kept = list(found.samples)
        kept[index] = change(kept[index])
        return replace(found, samples=kept)

    return fragments(mutate)


def moof(change: Callable[[bytes], bytes], path: str = "360p/2.m4s") -> Mutation:
    """A change to the first moof of a segment that keeps its size."""

    def mutate(reader: MemoryReader) -> None:
        data = reader.files[path]
        found = boxes.find(data, "moof")
        made = change(data[found.start : found.end])
        reader.files[path] = data[: found.start] + made + data[found.end :]

    return mutate


def at(kind: str, offset: int, value: bytes) -> Callable[[bytes], bytes]:
    """Other bytes in a box, from its payload on."""

    def change(data: bytes) -> bytes:
        start = data.index(kind.encode()) + 4 + offset
        return data[:start] + value + data[start + len(value) :]

    return change


def within(kind: str, inside: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Another payload in the traf of a moof."""

    def change(data: bytes) -> bytes:
        moof_box, traf = boxes.find(data, "moof"), boxes.find(data, "moof/traf")
        made = inside(data[traf.payload : traf.end])
        return box("moof", data[moof_box.payload : traf.start], box(kind, made))

    return change


def renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old.encode(), new.encode(), 1)


def cut(path: str, keep: Callable[[bytes], bytes]) -> Mutation:
    """Only a part of a file, or other bytes in it."""
    return lambda reader: reader.files.update({path: keep(reader.files[path])})


def without_media(data: bytes) -> bytes:
    """Zeros in every mdat."""
    for found in boxes.boxes(data):
        if found.kind == "mdat":
            data = data[: found.payload] + bytes(found.end - found.payload) + data[found.end :]
    return data


def sei(kind: int, payload: bytes) -> bytes:
    """A NAL unit of H.264 with one SEI message."""
    body = bytes([SEI, kind, len(payload)]) + payload + b"\x80"
    return struct.pack(">I", len(body)) + body


def sidx(timescale: int, ticks: int) -> bytes:
    return full("sidx", 0, 0, struct.pack(">IIIIHHIII", 1, timescale, 0, 0, 0, 1, 100, ticks, 0))


# the table

_MEDIA_TAG = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="stereo",NAME="Deutsch"'
_FIRST = "#EXT-X-STREAM-INF:BANDWIDTH="
_LOUD = segment(1, [FakeFragment(0, [FakeSample(bytes(1500), 1024, sync=True)] * 281)])
"""The first segment of sound, at 563 kbit/s."""
_HEAVY = segment(1, video_fragments(SPANS[0])) + box("free", bytes(90_000))
"""The first segment of video, at 120 kbit/s."""
INTERLACED_SPS = sps(profile=77, fields=True)
CAPTIONS = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x94\x20"
"""User data of one pair of bytes: resume caption loading on CC1."""
X265 = bytes.fromhex(
    "0102200000009000000000003ff000fcfdfafa00000f03a00001001840010c01ffff0220000003009000000300000300"
    "3f959809a10001002e42010102200000030090000003000003003fa005020169365959a4932bc05a8489048200000300"
    "02000003003210a2000100074401c172b46240"
)
"""An hvcC as x265 and ffmpeg write it: Main 10, 640x360."""
_HDR = video(visual_entry(SMALL, transfer=16))

FILES: dict[str, Mutation] = {
    "files-are-there": drop("360p/2.m4s"),
    "files-are-sound": put("360p/2.m4s", b"\0\0\1\0moof1234"),
    "files-are-within": swap(MEDIA, "2.m4s", "https://elsewhere.example/2.m4s"),
    "mime-types-fit": served("text/html"),
    "nothing-is-redirected": moved("360p/2.m4s"),
    "playlists-are-gzipped": served(gzip=False),
    "delivered-by-tls": served(scheme="http"),
}
PLAYLISTS: dict[str, Mutation] = {
    "playlist-header": line(MEDIA, "#EXTM3U", "#EXTM4U"),
    "playlist-syntax": swap(MASTER, "DEFAULT=YES", "DEFAULT=YES,DEFAULT=YES", 1),
    "playlist-one-kind": append(MASTER, "#EXT-X-ENDLIST"),
    "playlist-tags-once": append(MEDIA, "#EXT-X-VERSION:7"),
    "playlist-version": line(MEDIA, "#EXT-X-VERSION", "#EXT-X-VERSION:5"),
    "target-duration-given": line(MEDIA, "#EXT-X-TARGETDURATION", "#EXT-X-TARGETDURATION:6.5"),
    "extinf-within-target": swap(MEDIA, "#EXTINF:6.000000", "#EXTINF:6.600000", 1),
    "extinf-on-each-segment": swap(MEDIA, "#EXTINF:3.000000,\n", ""),
    "sequence-before-segments": append(MEDIA, "#EXT-X-MEDIA-SEQUENCE:1"),
    "playlist-has-segments": put("text/list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST\n"),
    "vod-is-ended": line(MEDIA, "#EXT-X-ENDLIST", None),
    "vod-is-declared": line(MEDIA, "#EXT-X-PLAYLIST-TYPE", "#EXT-X-PLAYLIST-TYPE:EVENT"),
    "map-has-uri": swap(MEDIA, 'URI="init.mp4"', "URI=init.mp4"),
    "key-is-sound": append(MEDIA, "#EXT-X-KEY:METHOD=AES-128"),
    "no-sample-aes-ctr": append(MEDIA, '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="k"'),
    "fairplay-is-sample-aes": append(
        MEDIA, '#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="com.apple.streamingkeydelivery"'
    ),
    "fairplay-has-its-format": append(MEDIA, '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key"'),
    "daterange-is-sound": append(MEDIA, '#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-22T00:00:00Z"'),
    "start-is-inside": append(MEDIA, "#EXT-X-START:TIME-OFFSET=99"),
    "target-is-six-seconds": line(MEDIA, "#EXT-X-TARGETDURATION", "#EXT-X-TARGETDURATION:10"),
    "segments-are-six-seconds": swap(MEDIA, "#EXTINF:6.000000", "#EXTINF:4.000000", 1),
    "segments-near-target": line(MEDIA, "#EXT-X-TARGETDURATION", "#EXT-X-TARGETDURATION:5"),
}
VARIANTS: dict[str, Mutation] = {
    "variants-listed": swap(MASTER, "540p/list.m3u8", "#"),
    "bandwidth-given": swap(MASTER, _FIRST, "#EXT-X-STREAM-INF:BANDWIDTH=x", 1),
    "average-bandwidth-given": swap(MASTER, "AVERAGE-BANDWIDTH=", "X=", 1),
    "bandwidth-is-peak": swap(MASTER, _FIRST, _FIRST + "9", 1),
    "average-bandwidth-is-average": swap(MASTER, "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=9", 1),
    "peak-is-near-average": put("360p/1.m4s", _HEAVY),
    "codecs-given": swap(MASTER, 'CODECS="avc1.64001f,mp4a.40.2",', "", 1),
    "codecs-cover-media": codecs("avc1.64001f"),
    "codecs-name-nothing-else": codecs("avc1.64001f,mp4a.40.2,ac-3"),
    "resolution-given": swap(MASTER, "RESOLUTION=640x360,F", "F", 1),
    "resolution-is-true": swap(MASTER, "RESOLUTION=640x360,F", "RESOLUTION=642x360,F", 1),
    "frame-rate-given": swap(MASTER, "FRAME-RATE=25.000,", "", 1),
    "frame-rate-is-true": swap(MASTER, "FRAME-RATE=25.000", "FRAME-RATE=30.000", 1),
    "video-range-given": both(_HDR, swap(MASTER, "VIDEO-RANGE=SDR,", "")),
    "video-range-is-true": _HDR,
}
GROUPS_TABLE: dict[str, Mutation] = {
    "media-tags-complete": swap(MASTER, ',NAME="Deutsch"', "", 1),
    "captions-are-in-stream": swap(MASTER, 'INSTREAM-ID="CC1"', 'INSTREAM-ID="CC5"'),
    "group-names-unique": swap(MASTER, 'NAME="Deutsch"', 'NAME="English"'),
    "group-has-one-default": swap(MASTER, "DEFAULT=NO", "DEFAULT=YES"),
    "default-is-autoselect": swap(MASTER, "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO"),
    "forced-is-subtitles": swap(MASTER, _MEDIA_TAG, _MEDIA_TAG + ",FORCED=NO"),
    "groups-exist": swap(MASTER, 'AUDIO="stereo"', 'AUDIO="mono"', 1),
    "groups-alike": swap(MASTER, _MEDIA_TAG, _MEDIA_TAG.replace("Deutsch", "German")),
    "no-captions-on-all-or-none": swap(MASTER, 'CLOSED-CAPTIONS="cc"', "CLOSED-CAPTIONS=NONE", 1),
    "languages-given": swap(MASTER, 'LANGUAGE="de",', "", 1),
    "forced-is-autoselect": swap(MASTER, "AUTOSELECT=YES,FORCED=NO", "FORCED=YES"),
    "accessible-is-autoselect": swap(
        MASTER, 'NAME="CC"', 'NAME="CC",CHARACTERISTICS="public.accessibility.transcribes-spoken-dialog"'
    ),
    "channels-given": swap(MASTER, 'CHANNELS="2",', "", 1),
    "channels-given-where-they-differ": swap(MASTER, 'CHANNELS="6",', "", 1),
    "channels-are-true": swap(MASTER, 'CHANNELS="6"', 'CHANNELS="8"', 1),
}
OFFER: dict[str, Mutation] = {
    "stereo-aac-offered": audio(aac_entry(b"\x11\xb0")),
    "dolby-digital-beside-plus": audio(box("ec-3", bytes(28))),
    "he-aac-is-low": both(
        audio(aac_entry(b"\x2b\x92\x08\x00"), ["stereo-en"]),
        put("stereo-en/1.m4s", _LOUD),
    ),
    "multichannel-aac-offered": audio(
        box("fLaC", bytes(16), b"\0\6", bytes(6), b"\xbb\x80\0\0"), ["surround-en", "surround-de"]
    ),
    "audio-is-separate": swap(MASTER, 'AUDIO="stereo",', "", 1),
    "several-bit-rates": swap(MASTER, "540p/list.m3u8", "360p/list.m3u8"),
    "two-at-the-top": swap(MASTER, "RESOLUTION=960x540,F", "RESOLUTION=1920x1080,F"),
    "default-near-two-megabits": both(
        swap(MASTER, "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=9000000,X="),
        swap(MASTER, "AVERAGE-BANDWIDTH=9000000,X=", "AVERAGE-BANDWIDTH=100000,X=", 1),
        append(MASTER, _FIRST + "2000000,AVERAGE-BANDWIDTH=2000000\n540p/list.m3u8"),
    ),
    "same-aspect-ratio": swap(MASTER, "RESOLUTION=640x360,F", "RESOLUTION=640x480,F"),
    "sdr-offered": swap(MASTER, "VIDEO-RANGE=SDR", "VIDEO-RANGE=HLG"),
    "h264-offered": video(visual_entry(SMALL, "hvc1", hvcc())),
    "score-on-all-or-none": swap(MASTER, _FIRST, "#EXT-X-STREAM-INF:SCORE=1.0,BANDWIDTH=", 1),
    "independent-segments-declared": line(MASTER, "#EXT-X-INDEPENDENT-SEGMENTS", None),
    "independent-segments-somewhere": line(MASTER, "#EXT-X-INDEPENDENT-SEGMENTS", None),
}
MEDIA_TABLE: dict[str, Mutation] = {
    "video-codec-allowed": video(visual_entry(SMALL, "vp09", box("vpcC", bytes(12)))),
    "h264-within-high-52": video(visual_entry(SMALL, configuration=avcc(profile=0xF4))),
    "h264-for-all": video(visual_entry(SMALL, configuration=avcc(level=51))),
    "hevc-within-main10-51": video(visual_entry(SMALL, "hvc1", hvcc(level=156))),
    "hevc-for-all": video(visual_entry(SMALL, "hvc1", hvcc(level=120, high=True))),
    "av1-within-62": video(visual_entry(SMALL, "av01", av1c(level=20))),
    "parameter-sets-in-entry": video(visual_entry(SMALL, "avc3")),
    "at-most-60-frames": put("360p/init.mp4", init("vide", 4 * GRID.timescale, visual_entry(SMALL))),
    "keyframes-each-two-seconds": put(
        "360p/2.m4s",
        segment(
            7,
            [
                replace(f, samples=[replace(s, sync=s.sync and n == 0) for s in f.samples])
                for n, f in enumerate(video_fragments(SPANS[1]))
            ],
        ),
    ),
    "segments-start-with-idr": samples(lambda s: replace(s, content=nal(SLICE, 20))),
    "decode-times-run-on": put(
        "360p/2.m4s", segment(7, [replace(f, decode_time=f.decode_time + 1) for f in video_fragments(SPANS[1])])
    ),
    "fmp4-has-map": line(MEDIA, "#EXT-X-MAP", None),
    "extinf-is-true": swap(MEDIA, "#EXTINF:6.000000", "#EXTINF:5.900000", 1),
    "same-target-everywhere": line(MEDIA, "#EXT-X-TARGETDURATION", "#EXT-X-TARGETDURATION:7"),
    "same-duration-everywhere": swap(SOUND, "#EXTINF:3.008000,\n3.m4s\n", ""),
    "same-start-everywhere": audio(aac_entry(), ["stereo-en"], edits=[(0, 48000)]),
    "same-discontinuities": swap(MEDIA, "2.m4s", "#EXT-X-DISCONTINUITY\n2.m4s"),
    "format-changes-at-discontinuities": swap(MEDIA, "3.m4s", '#EXT-X-MAP:URI="../stereo-en/init.mp4"\n3.m4s'),
    "frame-rate-changes-at-discontinuities": put(
        "360p/2.m4s", segment(7, [gop(GRID, at, 13, every=2) for at in range(150, 300, 25)])
    ),
    "same-borders": swap(SOUND, "#EXTINF:5.994667", "#EXTINF:5.500000"),
    "one-audio-in-a-segment": audio(aac_entry(), ["stereo-en"], tracks=2),
    "switching-needs-no-new-clock": video(rungs=["360p"], edits=[(0, 0)]),
}
PICTURES: dict[str, Mutation] = {
    "h264-is-in-mp4-or-ts": put("360p/2.m4s", b"ID3" + bytes(100)),
    "hdr-is-known": _HDR,
    "av1-codecs-tell-the-colour": both(
        video(visual_entry(SMALL, "av01", av1c(bits=10), transfer=16)), codecs("av01.0.08M.10,mp4a.40.2")
    ),
    "video-is-progressive": video(visual_entry(SMALL, configuration=avcc(77, sets=INTERLACED_SPS))),
    "low-rungs-are-slow": put("360p/init.mp4", init("vide", 2 * GRID.timescale, visual_entry(SMALL))),
    "hdr10-is-described": _HDR,
    "captions-are-declared": both(
        line(MASTER, "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS", None),
        samples(lambda s: replace(s, content=sei(4, CAPTIONS) + s.content)),
    ),
}
ACCESS: dict[str, Mutation] = {
    "audio-rates-are-usual": put("stereo-en/1.m4s", _LOUD),
    "descriptions-are-marked": swap(MPD, 'value="main"', 'value="description"', 1),
    "loudness-is-told": audio(aac_entry(), ["stereo-en"], loudness=False),
    "he-aac-is-explicit": codecs("avc1.64001f,mp4a.40.5"),
    "deaf-subtitles-are-marked": swap(
        MASTER, "FORCED=NO", 'FORCED=NO,CHARACTERISTICS="public.accessibility.transcribes-spoken-dialog"'
    ),
    "forced-are-in-regular": both(
        append(
            MASTER,
            '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="Signs",LANGUAGE="en",AUTOSELECT=YES,FORCED=YES,'
            'URI="forced/list.m3u8"',
        ),
        put("forced/list.m3u8", playlist([Fraction(15)], ["1.vtt"], map_uri=None).encode()),
        put(
            "forced/1.vtt",
            b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n00:00:01.000 --> 00:00:02.000\nHalt\n",
        ),
    ),
    "audio-is-by-media": swap(MASTER, 'AUDIO="stereo",', "", 1),
}
TRICK_TABLE: dict[str, Mutation] = {
    "iframes-offered": line(MASTER, "#EXT-X-I-FRAME-STREAM-INF", None),
    "iframe-uri-given": swap(MASTER, ',URI="360p/iframes.m3u8"', ""),
    "iframe-codecs-given": swap(MASTER, 'CODECS="avc1.64001f",', ""),
    "iframe-resolution-given": swap(MASTER, "RESOLUTION=640x360,U", "U"),
    "iframe-attributes-are-true": swap(MASTER, "RESOLUTION=640x360,U", "RESOLUTION=320x180,U"),
    "iframe-playlists-say-so": line(TRICK, "#EXT-X-I-FRAMES-ONLY", None),
    "iframe-ranges-hold-a-picture": samples(lambda s: replace(s, sync=False)),
    "iframe-bandwidth-is-peak": swap(
        MASTER, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=", "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9"
    ),
    "iframe-average-is-average": swap(
        MASTER, "#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-I-FRAME-STREAM-INF:AVERAGE-BANDWIDTH=9,"
    ),
    "iframe-times-are-true": swap(TRICK, "#EXTINF:1.0,", "#EXTINF:0.9,", 1),
    "iframes-span-the-content": swap(TRICK, "#EXTINF:1.0,", "#EXTINF:2.0,"),
    "iframes-are-dense": both(*(swap(f"{r}/iframes.m3u8", "#EXTINF:1.0,", "#EXTINF:2.0,") for r in RUNGS)),
    "iframe-rates-are-an-eighth": both(
        put("360p/1.m4s", _HEAVY),
        line(TRICK, "#EXT-X-BYTERANGE", f"#EXT-X-BYTERANGE:{len(_HEAVY) - len(STYP)}@{len(STYP)}"),
        swap(TRICK, "2.m4s", "1.m4s"),
        swap(TRICK, "3.m4s", "1.m4s"),
    ),
    "several-iframe-rates": swap(MASTER, "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-OTHER", 1),
    "h264-iframes-offered": swap(MASTER, 'CODECS="avc1.64001f",', 'CODECS="hvc1.2.4.L93.B0",'),
    "sdr-iframes-offered": swap(MASTER, 'CODECS="avc1.64001f",', 'CODECS="avc1.64001f",VIDEO-RANGE=PQ,'),
    "iframe-range-given": _HDR,
    "subtitles-are-text": put("text/2.vtt", b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n1 --> 2\nHello\n"),
    "subtitles-are-mapped": put("text/2.vtt", b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello\n"),
    "subtitles-span-the-content": swap("text/list.m3u8", "#EXTINF:3.000000,\n3.vtt\n", ""),
    "subtitle-codec-declared": both(
        swap("text/list.m3u8", "#EXT-X-TARGETDURATION:6", '#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI="init.mp4"'),
        put("text/init.mp4", init("text", 1000, box("wvtt", bytes(8), box("vttC", b"WEBVTT")))),
    ),
}
LIMITS: dict[str, Mutation] = {
    "codec-fits-container": both(
        codecs("hvc1.2.4.L93.B0,mp4a.40.2"),
        swap(MASTER, 'AUDIO="stereo",SUBTITLES="text",', "", 1),
        *(put(f"360p/{name}", b"G" + bytes(187)) for name in NAMES),
    ),
    "frame-rate-is-natural": put("360p/init.mp4", init("vide", 5 * GRID.timescale // 4, visual_entry(SMALL))),
    "h264-level-is-needed": video(visual_entry(SMALL, configuration=avcc(level=50))),
    "uhd-within-15-megabits": both(
        video(visual_entry((3840, 2160))),
        *(
            put(f"{rung}/1.m4s", segment(1, video_fragments(SPANS[0])) + box("free", bytes(30_000_000)))
            for rung in RUNGS
        ),
    ),
    "cellular-variant-offered": swap(MASTER, _FIRST, _FIRST + "9000000"),
    "no-variant-without-video": append(MASTER, _FIRST + '9,CODECS="mp4a.40.2"\nstereo-en/list.m3u8'),
    "alternative-audio-is-separate": swap(MASTER, ',URI="stereo-de/list.m3u8"', ""),
    "channels-change-at-discontinuities": swap(SOUND, "3.m4s", '#EXT-X-MAP:URI="../surround-en/init.mp4"\n3.m4s'),
    "brand-fits-media": video(brands=["iso6", "cmfc", "cfsd"]),
    "encryption-pattern-fits": video(visual_entry(SMALL, "encv", avcc(), protection(5, 5))),
    "session-data-is-sound": append(MASTER, '#EXT-X-SESSION-DATA:DATA-ID="a"'),
    "session-key-is-a-key": append(MASTER, "#EXT-X-SESSION-KEY:METHOD=NONE"),
}
CMAF: dict[str, Mutation] = {
    "init-has-cmaf-brand": video(brands=["iso6"]),
    "init-has-one-track": video(tracks=2),
    "init-is-fragmented": video(mvex=False),
    "init-has-configuration": video(visual_entry(SMALL, configuration=b"")),
    "handler-fits": put("stereo-en/init.mp4", video_init(SMALL)),
    "timescale-is-positive": put("360p/init.mp4", init("vide", 0, visual_entry(SMALL))),
    "video-has-shape-and-colour": video(visual_entry(SMALL).replace(b"colr", b"free")),
    "edit-list-only-skips": video(edits=[(1000, -1), (0, 0)]),
    "cmf2-has-no-edit-list": video(brands=["iso6", "cmf2"]),
    "cmf2-fragments-stand-alone": both(
        video(brands=["iso6", "cmf2"]), moof(at("trun", 0, struct.pack(">I", 1 << 24 | 0xB01)))
    ),
    "cmfc-offsets-are-positive": samples(lambda s: replace(s, composition_offset=-s.duration)),
    "fragment-has-one-traf": moof(lambda data: box("moof", data[8:], box("traf"))),
    "fragment-has-one-trun": moof(within("traf", lambda data: data + full("trun", 0, 0, bytes(4)))),
    "fragment-has-tfdt": moof(renamed("tfdt", "free")),
    "fragment-is-of-its-track": moof(at("tfhd", 4, b"\0\0\0\2")),
    "fragment-offsets-are-relative": moof(at("tfhd", 0, bytes(4))),
    "samples-in-own-mdat": moof(at("trun", 8, struct.pack(">i", 0))),
    "fragments-run-on": fragments(lambda f: replace(f, decode_time=f.decode_time + 1)),
    "fragments-start-with-sync": samples(lambda s: replace(s, sync=False)),
    "fragments-have-samples": fragments(lambda f: replace(f, samples=[])),
    "sequence-numbers-rise": moof(at("mfhd", 4, b"\0\0\0\1")),
    "no-mixed-encryption": moof(within("traf", lambda data: data + full("senc", 0, 0, bytes(4)))),
    "segment-has-brand": put(
        "360p/1.m4s", boxes.type_box("styp", "msdh") + segment(1, video_fragments(SPANS[0]))[len(STYP) :]
    ),
    "segment-index-is-true": put("360p/1.m4s", sidx(GRID.timescale, 7) + segment(1, video_fragments(SPANS[0]))),
}
SETS: dict[str, Mutation] = {
    "switching-set-is-aligned": put("360p/1.m4s", segment(1, video_fragments(SPANS[0])[:-1])),
    "switching-set-has-one-timescale": put("360p/init.mp4", init("vide", 2 * GRID.timescale, visual_entry(SMALL))),
    "switching-set-has-one-profile": video(visual_entry(SMALL, "hvc1", hvcc()), ["540p"]),
    "hevc-switching-set-is-alike": both(
        video(visual_entry(SMALL, "hvc1", hvcc())), video(visual_entry(SMALL, "hvc1", hvcc(), transfer=16), ["540p"])
    ),
    "fragment-rates-are-even": put("360p/1.m4s", _HEAVY),
    "tracks-end-together-at-splices": both(
        swap(MEDIA, "3.m4s", "#EXT-X-DISCONTINUITY\n3.m4s"), swap(SOUND, "2.m4s", "#EXT-X-DISCONTINUITY\n2.m4s")
    ),
    "one-key-in-a-segment": moof(
        within("traf", lambda data: data + full("sgpd", 1, 0, b"seig", struct.pack(">II", 20, 2), bytes(40)))
    ),
    "initialization-vector-is-constant": video(visual_entry(SMALL, "encv", avcc(), protection(1, 9, vector=8))),
    "text-is-imsc-or-webvtt": both(
        swap("text/list.m3u8", "#EXT-X-TARGETDURATION:6", '#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI="init.mp4"'),
        put("text/init.mp4", init("text", 1000, box("tx3g", bytes(8)))),
    ),
}
HEADERS: dict[str, Mutation] = {
    "headers-have-defaults": cut("360p/init.mp4", at("mvhd", 20, b"\0\2\0\0")),
    "track-is-enabled": cut("360p/init.mp4", at("tkhd", 0, bytes(4))),
    "trex-is-of-the-track": cut("360p/init.mp4", at("trex", 4, b"\0\0\0\7")),
    "media-header-fits": cut("stereo-en/init.mp4", renamed("smhd", "vmhd")),
    "media-is-in-the-file": cut("360p/init.mp4", at("url ", 0, bytes(4))),
    "parameter-sets-are-there": video(visual_entry(SMALL, configuration=avcc(sets=b""))),
    "configuration-is-of-its-sps": video(visual_entry(SMALL, configuration=avcc(level=30, sets=sps()))),
    "track-has-the-size-of-its-picture": cut("360p/init.mp4", at("tkhd", 76, b"\1\0\0\0")),
    "size-is-of-its-sps": video(visual_entry(SMALL, configuration=avcc(size=(640, 368)))),
}
SAMPLES: dict[str, Mutation] = {
    "edit-list-takes-the-delay-off": video(edits=[(0, 2 * GRID.frame_ticks)]),
    "cmf2-fragments-begin-on-time": video(brands=["iso6", "cmf2"], edits=[]),
    "pictures-are-shown-in-a-row": samples(lambda s: replace(s, composition_offset=s.composition_offset + 7), 3),
    "sync-samples-are-such": samples(lambda s: replace(s, sync=True), 5),
    "first-pictures-are-whole": samples(lambda s: replace(s, content=s.content + b"\0\0\1\0")),
    "parameter-sets-stay-in-the-entry": samples(lambda s: replace(s, content=nal(7, 9) + s.content)),
    "samples-fill-the-mdat": moof(at("trun", 8 + 4 + 16 * 24 + 4, struct.pack(">I", 5))),
    "segment-is-of-fragments": cut("360p/2.m4s", lambda data: data + box("free") + box("mdat", bytes(8))),
}
ATTRIBUTES: dict[str, Mutation] = {
    "attributes-are-of-their-type": swap(MASTER, 'GROUP-ID="stereo"', "GROUP-ID=stereo"),
    "attribute-values-are-known": swap(MASTER, "DEFAULT=NO", "DEFAULT=MAYBE"),
}
TEXT: dict[str, Mutation] = {
    "subtitles-are-on-time": swap("text/2.vtt", "MPEGTS:0", "MPEGTS:9000000"),
    "text-of-the-mpd-is-text": both(
        swap(
            MPD,
            "</Period>",
            '<AdaptationSet contentType="text" mimeType="text/vtt" lang="en"><Representation id="text" bandwidth="9">'
            "<BaseURL>text/whole.vtt</BaseURL></Representation></AdaptationSet></Period>",
        ),
        put("text/whole.vtt", b"WEBVTT\n\n1 --> 2\nHello\n"),
    ),
}


def _other_borders(reader: MemoryReader) -> None:
    """In the MPD, of the second rung."""
    before, name, after = reader.files[MPD].decode().partition('<Representation id="540p"')
    after = after.replace('d="150000"', 'd="140000"', 1).replace('d="150000"', 'd="160000"', 1)
    reader.files[MPD] = (before + name + after).encode()


TRUTH: dict[str, Mutation] = {
    "static-mpd-is-not-renewed": swap(MPD, 'type="static"', 'type="static" minimumUpdatePeriod="PT2S"'),
    "descriptors-have-a-scheme": swap(MPD, '<Role schemeIdUri="urn:mpeg:dash:role:2011" ', "<Role ", 1),
    "mpd-attributes-are-of-their-type": swap(MPD, 'type="static"', 'type="static" publishTime="yesterday"'),
    "mpd-colour-is-true": swap(
        MPD,
        '<Representation id="360p"',
        '<SupplementalProperty schemeIdUri="urn:mpeg:mpegB:cicp:TransferCharacteristics" value="16"/>'
        '<Representation id="360p"',
    ),
    "presentation-ends-with-its-media": swap(MPD, "PT15S", "PT14.9S"),
    "aligned-sets-are-aligned": _other_borders,
    "tiles-are-pictures": put("tiles/2.jpg", JPEG.replace(b"\1\x68", b"\1\x69")),
}


def _undeclared_stills(reader: MemoryReader) -> None:
    """A picture a second where the set for trick mode was, which does not say any more that it is one."""
    main, trick = (
        reader.files[MPD].decode().split(' <EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode"')
    )
    trick = trick.partition("/>")[2].replace("360p/", "stills/")
    reader.files[MPD] = (main + trick).encode()
    reader.files["stills/init.mp4"] = reader.files["360p/init.mp4"]
    for name, span in zip(NAMES, SPANS, strict=True):
        pictures = [gop(GRID, at, 1, every=25) for at in range(span.first, span.last, 25)]
        reader.files[f"stills/{name}"] = segment(1 + span.first // 25, pictures)


DASH: dict[str, Mutation] = {
    "mpd-namespace": swap(MPD, "urn:mpeg:dash:schema:mpd:2011", "urn:mpeg:dash:schema:mpd:2012"),
    "mpd-names-profiles": swap(MPD, 'profiles="urn:mpeg:dash:profile:cmaf:2019"', ""),
    "mpd-is-static": swap(MPD, 'type="static"', 'type="dynamic"'),
    "mpd-buffer-time": swap(MPD, 'minBufferTime="PT6.1S"', ""),
    "mpd-duration": swap(MPD, 'mediaPresentationDuration="PT15S"', ""),
    "mpd-durations-are-plain": swap(MPD, 'maxSegmentDuration="PT6.1S"', 'maxSegmentDuration="P0Y0M0DT6.1S"'),
    "first-period-starts-at-zero": swap(MPD, 'start="PT0S"', 'start="PT1S"'),
    "periods-join": both(
        swap(MPD, 'start="PT0S"', 'start="PT0S" duration="PT14S"'), swap(MPD, "</MPD>", '<Period start="PT16S"/></MPD>')
    ),
    "periods-have-sets": swap(MPD, "</Period>", '<AdaptationSet contentType="text"/></Period>'),
    "one-addressing-in-a-set": swap(
        MPD,
        "</Representation></AdaptationSet>",
        '</Representation><Representation id="x" bandwidth="9"><SegmentBase/></Representation></AdaptationSet>',
        1,
    ),
    "addressing-is-sound": swap(MPD, '<S t="0" d="', '<S t="0" d="x', 1),
    "template-is-complete": swap(MPD, "/$Number$.m4s", "/1.m4s", 1),
    "template-has-timeline": swap(MPD, "SegmentTimeline>", "Other>"),
    "template-is-restricted": swap(MPD, '<S t="0" d="', '<S n="1" t="0" d="', 1),
    "timeline-has-no-gaps": swap(MPD, '<S t="0" d="150000"/><S d="', '<S t="0" d="150000"/><S t="160000" d="', 1),
    "period-is-covered": swap(MPD, 'mediaPresentationDuration="PT15S"', 'mediaPresentationDuration="PT16S"'),
    "times-fit-a-double": swap(MPD, '<S t="0"', '<S t="9007199254740992"', 1),
    "representation-ids": swap(MPD, 'Representation id="540p"', 'Representation id="360p"'),
    "set-ids-unique": swap(MPD, 'AdaptationSet id="1"', 'AdaptationSet id="2"'),
    "representation-bandwidth": swap(MPD, 'bandwidth="', 'bandwith="', 1),
    "representation-mime": swap(MPD, 'mimeType="audio/mp4"', "", 1),
    "representation-codecs": swap(MPD, 'codecs="mp4a.40.2"', "", 1),
    "video-attributes": swap(MPD, 'frameRate="25"', "", 1),
    "audio-attributes": swap(MPD, 'audioSamplingRate="48000"', "", 1),
    "audio-has-language": swap(MPD, 'lang="de"', "", 1),
    "sets-are-aligned": swap(MPD, 'segmentAlignment="true"', "", 1),
    "sets-start-with-sap": swap(MPD, 'startWithSAP="1"', 'startWithSAP="3"', 1),
    "roles-are-known": swap(MPD, 'value="main"', 'value="mian"', 1),
    "mpd-codecs-are-true": swap(MPD, "avc1.64001f", "avc1.640028"),
    "mpd-size-is-true": swap(MPD, 'height="360"', 'height="362"', 1),
    "mpd-frame-rate-is-true": swap(MPD, 'frameRate="25"', 'frameRate="30"', 1),
    "mpd-shape-is-true": swap(MPD, 'sar="1:1"', 'sar="4:3"', 1),
    "mpd-sampling-rate-is-true": swap(MPD, '"48000">', '"44100">', 1),
    "mpd-channels-are-true": swap(MPD, '2011" value="2"', '2011" value="6"', 1),
    "mpd-media-is-true": swap(
        MPD, 'contentType="audio" mimeType="audio/mp4"', 'contentType="video" mimeType="audio/mp4"', 1
    ),
    "mpd-language-is-true": both(
        swap(MPD, 'lang="en"', 'lang="fra"', 1), put("stereo-en/init.mp4", audio_init(2, b"\x11\x90", language="eng"))
    ),
    "mpd-times-are-true": put(
        "stereo-en/2.m4s", segment(2, [FakeFragment(1024, [FakeSample(bytes(10), 1024, sync=True)] * 282)])
    ),
    "mpd-durations-are-true": put(
        "stereo-en/2.m4s", segment(2, [FakeFragment(281 * 1024, [FakeSample(bytes(10), 1024, sync=True)] * 280)])
    ),
    "max-segment-duration-holds": swap(MPD, 'maxSegmentDuration="PT6.1S"', 'maxSegmentDuration="PT5S"'),
    "bandwidth-and-buffer-suffice": swap(MPD, 'bandwidth="', 'bandwidth="1" x="'),
    "index-is-given": swap(
        MPD,
        "</Period>",
        '<AdaptationSet contentType="audio"><Representation id="x" bandwidth="9"><SegmentBase/></Representation>'
        "</AdaptationSet></Period>",
    ),
    "trick-mode-has-main": swap(MPD, 'trickmode" value="0"', 'trickmode" value="77"'),
    "trick-mode-is-told": _undeclared_stills,
    "set-limits-hold": swap(MPD, 'AdaptationSet id="0"', 'AdaptationSet id="0" maxWidth="900"'),
    "set-shape-holds": swap(MPD, 'AdaptationSet id="0"', 'AdaptationSet id="0" par="1:1"'),
    "thumbnails-are-tiles": swap(MPD, 'value="2x2"', 'value="3x3"'),
}
MUTATIONS: dict[str, Mutation] = (
    FILES
    | PLAYLISTS
    | ATTRIBUTES
    | VARIANTS
    | GROUPS_TABLE
    | OFFER
    | MEDIA_TABLE
    | PICTURES
    | HEADERS
    | SAMPLES
    | ACCESS
    | TRICK_TABLE
    | LIMITS
    | CMAF
    | SETS
    | TEXT
    | TRUTH
    | DASH
)

DAMAGE: dict[str, tuple[str, Mutation]] = {
    "a segment is cut short": ("samples-in-own-mdat", cut("360p/2.m4s", lambda data: data[:-10])),
    "a segment of sound is cut short": ("samples-in-own-mdat", cut("stereo-en/2.m4s", lambda data: data[:-1])),
    "half of a segment is gone": ("samples-in-own-mdat", cut("stereo-en/2.m4s", lambda data: data[: len(data) // 2])),
    "a segment holds zeros": ("segments-start-with-idr", cut("360p/2.m4s", without_media)),
    "a picture is zeros but for its beginning": (
        "first-pictures-are-whole",
        samples(lambda s: replace(s, content=s.content[:-8] + bytes(8))),
    ),
    "a NAL unit is longer than its sample": (
        "first-pictures-are-whole",
        samples(lambda s: replace(s, content=s.content[:-21] + b"\x19" + s.content[-20:])),
    ),
    "a movie header is in a segment": (
        "segment-is-of-fragments",
        cut("360p/2.m4s", lambda data: data + video_init(SMALL)),
    ),
    "a keyframe's flags say that it depends on others": (
        "sync-samples-are-such",
        moof(at("trun", 20, struct.pack(">I", 0x01000000))),
    ),
    "nothing takes the delay off": ("edit-list-takes-the-delay-off", video(edits=[])),
    "the track is turned": ("headers-have-defaults", cut("360p/init.mp4", at("tkhd", 40, bytes(36)))),
    "the moov has a time table": ("init-is-fragmented", cut("360p/init.mp4", at("stts", 4, b"\0\0\0\1"))),
    "a sample entry refers to no data": ("media-is-in-the-file", cut("360p/init.mp4", at("avc1", 6, b"\0\5"))),
    "samples have no sample entry": ("trex-is-of-the-track", cut("360p/init.mp4", at("trex", 8, b"\0\0\0\2"))),
    "a configuration is of a version to come": (
        "init-has-configuration",
        cut("360p/init.mp4", at("avcC", 0, b"\2")),
    ),
    "what should be an SPS is none": ("parameter-sets-are-there", cut("360p/init.mp4", at("avcC", 8, b"\x61"))),
    "a configuration of HEVC tells other bits": (
        "configuration-is-of-its-sps",
        video(visual_entry(SMALL, "hvc1", box("hvcC", X265[:17] + b"\xf8" + X265[18:]))),
    ),
    "there is no data reference": ("media-is-in-the-file", cut("360p/init.mp4", renamed("dinf", "free"))),
    "a cue ends before it starts": (
        "subtitles-are-text",
        swap("text/2.vtt", "00:00:07.000 --> 00:00:08.000", "00:00:08.000 --> 00:00:07.000"),
    ),
    "the presentation is told longer than it is": ("presentation-ends-with-its-media", swap(MPD, "PT15S", "PT15.05S")),
    "channels are told in words": (
        "mpd-channels-are-true",
        swap(MPD, 'configuration:2011" value="6"', 'configuration:2011" value="5.1"'),
    ),
    "channels are not told": ("audio-attributes", swap(MPD, 'configuration:2011" value="6"', 'configuration:2011"')),
    "tiles have no size": ("thumbnails-are-tiles", swap(MPD, '"1000" width="640"', '"1000"')),
    "a playout rate is in words": (
        "mpd-attributes-are-of-their-type",
        swap(MPD, 'Representation id="trick"', 'Representation id="trick" maxPlayoutRate="fast"'),
    ),
    "a tile is no picture": ("tiles-are-pictures", put("tiles/2.jpg", b"<html></html>")),
    "an EXTINF has no comma": ("playlist-syntax", swap(MEDIA, "#EXTINF:6.000000,", "#EXTINF:6.000000", 1)),
    "a URI ends with a blank": ("playlist-syntax", swap(MEDIA, "2.m4s", "2.m4s ")),
    "a name has control characters": ("playlist-syntax", swap(MASTER, 'NAME="CC"', 'NAME="C\x07C"')),
    "an enumerated value is quoted": ("attributes-are-of-their-type", swap(MASTER, "TYPE=AUDIO", 'TYPE="AUDIO"', 1)),
    "a number is none": (
        "attributes-are-of-their-type",
        swap(MASTER, _FIRST, "#EXT-X-STREAM-INF:SCORE=best,BANDWIDTH="),
    ),
    "a language is in words": ("attribute-values-are-known", swap(MASTER, 'LANGUAGE="de"', 'LANGUAGE="in German"')),
    "a stable id has blanks": (
        "attribute-values-are-known",
        swap(MASTER, _FIRST, '#EXT-X-STREAM-INF:STABLE-VARIANT-ID="a b",BANDWIDTH=', 1),
    ),
    "a protection is unknown": (
        "attribute-values-are-known",
        swap(MASTER, _FIRST, "#EXT-X-STREAM-INF:HDCP-LEVEL=HIGH,BANDWIDTH="),
    ),
    "a frame rate has six decimals": (
        "attribute-values-are-known",
        swap(MASTER, "FRAME-RATE=25.000", "FRAME-RATE=25.000001"),
    ),
    "an I-frame is cut short": (
        "iframe-ranges-hold-a-picture",
        lambda reader: swap(TRICK, f":{_first_range(reader)}@", f":{_first_range(reader) - 20}@", 1)(reader),
    ),
}
"""Other ways to break a rule: what happens to files that are stored or copied."""


def _first_range(reader: MemoryReader) -> int:
    return int(reader.files[TRICK].decode().partition("BYTERANGE:")[2].partition("@")[0])
