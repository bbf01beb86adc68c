"""Rules of sets of CMAF tracks: switching, splices, keys, text (CMAF 7.3.4, B.2.4, CTA-5005). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.timed import Timed
from raven.check.tree import Track, Tree
from raven.media.grid import in_ticks

_HEVC = ("hvc1", "hev1")
_AV = ("video", "audio")
_EVEN = 10
"""A tenth of the average."""


def _switching(tree: Tree) -> list[list[Track]]:
    """Tracks of video that a player switches between: one codec family."""
    found: dict[str, list[Track]] = {}
    for track in tree.tracks:
        if track.media == "video" and track.init:
            found.setdefault(track.init.entry, []).append(track)
    return [tracks for tracks in found.values() if len(tracks) > 1]


@must("CMAF 7.3.4.1")
def switching_set_is_aligned(tree: Tree) -> Faults:
    """The video tracks of a switching set have fragments at the same times, of the same durations."""
    for tracks in _switching(tree):
        first, exact = _times(tracks[0]), _ticks(tracks[0])
        for track in tracks[1:]:
            here = first if _ticks(track) == exact else _times(track)
            if here != first:
                differ = next((i for i, (a, b) in enumerate(zip(first, here, strict=False)) if a != b), None)
                where = f" from fragment {differ + 1} on" if differ is not None else f": {len(here)}, not {len(first)}"
                yield Fault(track.where, f"fragments differ{where}", f"those of {tracks[0].where}")


def _ticks(track: Track) -> list[tuple[int, int | None, int]]:
    """Time scale, start and duration of each fragment."""
    return [(init.timescale, f.decode_time, f.duration) for init, _, s in track.pairs for f in s.fragments]


def _times(track: Track) -> list[tuple[int, int]]:
    """Start and duration of each fragment in units of 1/90000 s, rounded."""
    return [
        (90_000 * (f.decode_time or 0) // init.timescale, 90_000 * f.duration // init.timescale)
        for init, _, s in track.pairs
        for f in s.fragments
    ]


@should("CMAF 7.3.4.1")
def switching_set_has_one_timescale(tree: Tree) -> Faults:
    """The tracks of a switching set have the same time scale."""
    for tracks in _switching(tree):
        scales = {t.where: t.init.timescale for t in tracks if t.init}
        if len(set(scales.values())) > 1:
            yield Fault(tracks[0].where, f"time scales {', '.join(map(str, sorted(set(scales.values()))))}", "one")


@must("CMAF 7.3.4.1")
def switching_set_has_one_profile(tree: Tree) -> Faults:
    """The Representations of an AdaptationSet are of one media profile: handler, sample entry, transfer, channels."""
    for group in tree.mpd.sets if tree.mpd else ():
        inits = [track.init for track in tree.in_set(group) if track.init]
        kinds = {(i.handler, i.entry, i.colour and i.colour[1], i.channels) for i in inits}
        if len(kinds) > 1:
            found = sorted(f"{entry} {channels or transfer or ''}".strip() for _, entry, transfer, channels in kinds)
            yield Fault(group.where, ", ".join(found), "one media profile")


@must("CMAF B.2.4")
def hevc_switching_set_is_alike(tree: Tree) -> Faults:
    """The HEVC tracks of a switching set agree in bit depth, chroma, colour and HDR10 messages."""
    for tracks in _switching(tree):
        alike = {t: _nature(t) for t in tracks if t.init and t.init.entry in _HEVC}
        first = next(iter(alike.values()), None)
        for track, nature in alike.items():
            if nature != first:
                yield Fault(track.where, str(nature), f"{first} as {tracks[0].where}")


def _nature(track: Track) -> str:
    init = track.init
    if init is None:
        return ""
    first = next((f.front.told for _, _, s in track.pairs for f in s.fragments), frozenset())
    static = sorted((init.told | first) & {"mdcv", "clli"})
    return (
        f"{init.codec.bits} bits, chroma {init.codec.chroma}, colour {init.colour}, {', '.join(static) or 'no HDR10'}"
    )


@should("CTA-5005 4.1.2", choice=True)
def fragment_rates_are_even(tree: Tree) -> Faults:
    """The bit rate of every segment but the last is within 10 % of the track's average."""
    for track in tree.tracks:
        scale, lengths = in_ticks([timed.duration for timed in track.segments])
        bits, seconds = track.average.as_integer_ratio()
        for timed, length in zip(track.segments[:-1], lengths, strict=False) if track.media in _AV else ():
            whole, here = bits * length, 8 * timed.bytes * scale * seconds
            if length and abs(here - whole) * _EVEN > whole:
                rate = Fraction(8 * timed.bytes) / timed.duration
                yield Fault(timed.where, f"{round(rate)} bit/s", f"within 10 % of {round(track.average)}")
                break


@must("CTA-5005 4.4.2")
def tracks_end_together_at_splices(tree: Tree) -> Faults:
    """Before a discontinuity, and in a Period that another follows, video and audio last equally long, to a sample."""
    for tracks in _spliced(tree):
        for _, parts in tracks[1:]:
            first = tracks[0][1]
            for here, there in zip(parts[:-1], first[:-1], strict=False):
                ours, theirs = (sum((s.seconds or s.duration for s in part), Fraction(0)) for part in (here, there))
                if abs(ours - theirs) > max(_sample(here), _sample(there)):
                    wanted = f"{float(theirs):.6f} s as {tracks[0][0].where}, to a sample"
                    yield Fault(here[-1].where, f"{float(ours):.6f} s up to the splice", wanted)


Parts = list[list[Timed]]


def _spliced(tree: Tree) -> Iterator[list[tuple[Track, Parts]]]:
    """Rows of tracks that play together, each in the parts between splices."""
    hls = [t for t in tree.hls if t.media in ("video", "audio")]
    yield [(track, _parts(track)) for track in hls]
    periods = tree.mpd.periods if tree.mpd else ()
    for period in periods[:-1]:
        found = [track for its, track in tree.dash_rows if its is period]
        yield [(t, [list(t.segments), []]) for t in found if t.media in ("video", "audio") and t.segments]


def _parts(track: Track) -> Parts:
    parts: Parts = [[]]
    for n, timed in enumerate(track.segments):
        if n and timed.fresh:
            parts.append([])
        parts[-1].append(timed)
    return parts


def _sample(part: list[Timed]) -> Fraction:
    """A sample, s; 1/20 where none could be read."""
    for timed in part:
        if timed.init and timed.init.timescale and timed.segment and timed.segment.fragments:
            return Fraction(timed.segment.fragments[0].shortest, timed.init.timescale)
    return Fraction(1, 20)


@must("CTA-5005 4.3.2")
def one_key_in_a_segment(tree: Tree) -> Faults:
    """A segment has one key."""
    for track in tree.tracks:
        for _, timed, segment in track.pairs:
            keys = sum(f.keys for f in segment.fragments)
            if any(f.keys > 1 for f in segment.fragments) or (keys and len({f.keys for f in segment.fragments}) > 1):
                yield Fault(f"{timed.where} sgpd", f"{keys} descriptions of keys", "one key in a segment")


@must("CTA-5005 4.3.2")
def initialization_vector_is_constant(tree: Tree) -> Faults:
    """What cbcs protects has one initialization vector of 16 bytes."""
    for resource, init in tree.inits.items():
        if init.scheme == "cbcs" and init.constant_iv is not None and init.constant_iv != 16:
            found = (
                f"an initialization vector of {init.constant_iv} bytes" if init.constant_iv else "one of each sample"
            )
            yield Fault(f"{resource} tenc", found, "a constant one of 16 bytes")


@must("CTA-5005 4.1.2", "Apple 5.2")
def text_is_imsc_or_webvtt(tree: Tree) -> Faults:
    """Text in CMAF is IMSC1 (stpp) or WebVTT (wvtt)."""
    for resource, init in tree.inits.items():
        if init.handler in ("text", "subt") and init.entry not in ("stpp", "wvtt"):
            yield Fault(f"{resource} stsd", f"text as {init.entry}", "stpp or wvtt")


RULES = rules_of(globals())
