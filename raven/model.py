"""The values that travel: facts of a source, renditions of a task, results of jobs. Frozen, validated, JSON.

Sizes are pixels, times seconds unless a name says otherwise; exact times are fractions, written `24000/1001`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raven.values import Count, Mark, Name, Rarely, Rational, Value, Word

Turn = Literal["hflip", "vflip", "transpose=clock", "transpose=cclock", "transpose=clock_flip", "transpose=cclock_flip"]
ColourTag = Literal["color_primaries", "color_trc", "colorspace", "range"]
Encoder = Literal["libx264", "libx265", "libsvtav1"]
"""The video encoders, by ffmpeg's names: H.264, HEVC, AV1."""


VideoRange = Literal["SDR", "PQ", "HLG"]
"""The dynamic range, by HLS's names."""
_RANGES: dict[int, VideoRange] = {16: "PQ", 18: "HLG"}


def video_range(transfer: int) -> VideoRange:
    """By the transfer characteristics (ITU-T H.273)."""
    return _RANGES.get(transfer, "SDR")


class MasteringDisplay(Value):
    """The display that a film was graded on (SMPTE ST 2086): x and y in 0.00002, luminance in 0.0001 cd/m2."""

    red: tuple[int, int]
    green: tuple[int, int]
    blue: tuple[int, int]
    white: tuple[int, int]
    maximum: int
    minimum: int


class VideoFacts(Value):
    """The main video stream, as it will be shown: `width` x `height` are after rotation, in square pixels."""

    stream: int
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    sample_aspect: Rational
    rate: Annotated[Rational, Field(gt=0)]
    """Output rate R, frames/s."""
    constant_rate: bool
    step: Rational | None = None
    """Seconds that a frame of the source lasts where it says nothing else; None for one frame of the grid."""
    way: Literal["copy", "conform"] = "copy"
    """How it is cut: its packets are copied, or it is decoded onto the grid and stored lossless."""
    timed: bool = True
    """Whether its packets carry times; else its frames follow each other at the rate."""
    decode_timed: Rarely = False
    """Whether these are good as decode times alone, as those of AVI, which knows nothing of frames out of order."""
    x264_build: Annotated[int, Field(ge=1, le=9999)] | None = Field(None, exclude_if=lambda build: build is None)
    """Of the x264 that has encoded it, as its first packet alone says: decoders make up for old ones' faults."""
    interlaced: Literal["no", "flagged", "tff", "bff"] = "no"
    """Whether fields are woven into its frames: where the stream says so of a frame, or all of them in this order."""
    fields: bool = False
    """Whether each of its fields becomes a frame; the rate is that of the fields then."""
    crop: tuple[Count, Count, Count, Count] | None = Field(None, exclude_if=lambda crop: crop is None)
    """Pixels that the container hides of each picture before it is turned: at its left, right, top and bottom."""
    orient: tuple[Turn, ...] = ()
    """Filters that undo the container's display matrix, in order."""
    pixel_format: str = ""
    bit_depth: int = 8
    """Bits of a sample of a colour component."""
    rgb: bool = False
    """Whether the pictures are RGB (or a palette of it)."""
    alpha: bool = False
    mastering: MasteringDisplay | None = None
    light: tuple[int, int] | None = None
    """MaxCLL and MaxFALL (CTA-861.3), cd/m2."""
    colour: dict[ColourTag, Annotated[str, Field(pattern=r"^[0-9]{1,3}$")]] = Field(default_factory=dict)
    """Colour tags that the source states, by setparams option; what it does not state is absent, never guessed."""

    @property
    def video_range(self) -> VideoRange:
        """By the tags that the source states."""
        return video_range(int(self.colour.get("color_trc", "2")))


class AudioFacts(Value):
    """One audio track. `name` is its place in the outputs, such as `eng-1`."""

    stream: int
    name: Name
    codec: str
    channels: int
    layout: Annotated[str, Field(pattern=r"^[A-Za-z0-9+.() ]{0,64}$")] = ""
    """Channel layout by libavutil's name, such as `5.1(side)`; not all that travels in NUT carries it."""
    sample_rate: int
    language: str = "und"
    title: str = ""
    default: bool = False
    describes: bool = False
    """Tells those who cannot see the picture what is in it."""


class TextFacts(Value):
    """One track of text subtitles. `name` is its place in the outputs, such as `eng-1`."""

    stream: int
    name: Name
    codec: str
    language: str = "und"
    title: str = ""
    forced: bool = False
    """Only what must be read by everybody, such as signs."""
    hearing_impaired: bool = False
    """Tells sounds, too."""


class Chapter(Value):
    """A named stretch of the film, seconds from its first frame."""

    start: Rational
    end: Rational
    title: str


class Cue(Value):
    """A text and when it is shown, milliseconds from the first frame: `text` and `settings` as WebVTT has them."""

    start: int
    end: int
    text: str
    settings: str = ""


MOST_SECONDS = 10**9
"""Of a film: what claims more is broken, and times in rows are made of it."""
CaptionChannel = Annotated[str, Field(pattern=r"^(CC[1-4]|SERVICE[1-6])$")]


class SourceFacts(Value):
    """What the probe found. All times in the chunk objects are relative to `origin`."""

    container: str
    duration: Annotated[float, Field(ge=0, le=MOST_SECONDS)] | None
    """Seconds that the container claims; for progress only, never trusted for frames."""
    bytes: int | None
    origin: Rational
    """Time of the first video frame (or first audio packet) in the source, seconds."""
    video: VideoFacts | None
    audio: tuple[AudioFacts, ...] = ()
    text: tuple[TextFacts, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    """As the container has them; the outputs have them cut to the film."""
    captions: tuple[CaptionChannel, ...] = ()
    """Closed captions in the pictures, CEA-608 and CEA-708; known once all is cut."""
    ignored: tuple[str, ...] = ()
    """Streams that are not converted, each as a short text."""


class Rendition(Value):
    """One rung of the ladder as this task has it: the profile's rung fitted to the source."""

    name: Name
    width: int
    height: int
    codec: Encoder
    preset: Word
    crf: float
    maxrate: int | None
    """Cap in kbit/s; None for no cap."""
    bufsize: int | None
    threads: int
    encoder_profile: Word
    pixel_format: Literal["yuv420p", "yuv420p10le"] = "yuv420p"
    video_range: VideoRange = "SDR"
    every: int = Field(default=1, ge=1)
    """It has every n-th frame of the grid; G is a multiple of n."""
    audio: Name | None = None
    """The one group of sound that HLS offers with it; None for all that no other rendition has for itself."""
    options: dict[str, str] = Field(default_factory=dict)


class AudioRendition(Value):
    """One way in which tracks are encoded: a group of the outputs."""

    name: Name = "audio"
    """Of the group. The folder of a track is its own name, in all groups but the first with this one behind it."""
    codec: Literal["aac"]
    bitrate: int = Field(ge=8, le=1024)
    """kbit/s."""
    channels: Literal[1, 2, 6]
    sample_rate: Literal[16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000]


class SegmentInfo(Value):
    """One stored segment: its length (frames of the grid, samples of audio) and its size in bytes."""

    length: int
    bytes: int


class TrackSegments(Value):
    """The segments that a job stored for one rendition or track, from segment number `first` on."""

    first: int
    segments: tuple[SegmentInfo, ...]
    start: int
    """Decode time of the first sample, ticks: it must follow the last one of the job before."""
    init_sha256: str


class IframeSegments(TrackSegments):
    """The segments of the trick play rendition."""

    frames: tuple[tuple[int, ...], ...]
    """Bytes of each I-frame's fragment (moof and mdat), by segment, which they end."""


class PrepareResult(Value):
    """The end of cutting. While it goes on, `chunks` and `frames_read` grow and `complete` is False."""

    facts: SourceFacts
    chunks: int = Field(default=0, ge=0, le=1_000_000)
    """Each becomes a row: a bound that no film reaches, against a report that is wrong."""
    frames: Count = 0
    """N when complete; for audio alone 0."""
    tail: int = 1
    """Frames of the grid that the last source frame is held."""
    samples: dict[str, Count] = Field(default_factory=dict)
    """For audio alone: the length of each track in samples of its rendition; else the video's length rules."""
    complete: bool = False
    chunk_segments: int | None = Field(default=None, ge=1, le=100)
    """Segments in a chunk, as chosen for this film; None where the profile's number holds."""
    warnings: tuple[str, ...] = ()
    metadata_only: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    """Whether nothing was to be cut: the facts are all that was asked for. Said only then."""
    mark: Mark = ""
    """Of the source that was opened."""


class EncodeResult(Value):
    """A chunk is stored: the segments of every rendition, the trick play one too, and the number of thumbnails."""

    renditions: dict[str, TrackSegments]
    iframes: IframeSegments | None = None
    frames: int
    thumbs: int
    bytes: int
    damaged: Rarely = False
    """Whether the decoder had to make up for what is missing of some picture."""


class AudioResult(Value):
    """A track is stored in each of its renditions."""

    renditions: dict[str, TrackSegments]
    bytes: int
    warnings: tuple[str, ...] = ()
    """What the track lacks."""


class TextResult(Value):
    """A text track is stored: bytes of each segment, bytes of the whole file, and how many cues it has."""

    segments: tuple[int, ...]
    whole: int
    cues: int


class PublishResult(Value):
    """The manifests are stored."""

    url: str
    downloads: tuple[str, ...] = ()
    """Where a client finds the files for download."""
    bytes: int
    warnings: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    """What the source lacks, for the task's `message`."""


class PurgeResult(Value):
    """Objects are gone."""

    objects: int
