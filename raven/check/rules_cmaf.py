"""Rules of CMAF (ISO/IEC 23000-19) and of the file format under it (ISO/IEC 14496-12), from the bytes alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from raven.check.isobmff import Init
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Track, Tree

_HANDLERS = {"video": ("vide",), "audio": ("soun",), "text": ("text", "subt")}
_CMAF = ("cmfc", "cmf2")


def _inits(tree: Tree) -> Iterator[tuple[str, Track, Init]]:
    """Each init segment of CMAF once, with its file."""
    paths = {id(init): str(resource) for resource, init in tree.inits.items()}
    seen: set[int] = set()
    for track in tree.tracks:
        init = track.init
        if init is not None and id(init) not in seen:
            seen.add(id(init))
            yield paths.get(id(init), track.where), track, init


@must("CMAF 7.2")
def init_has_cmaf_brand(tree: Tree) -> Faults:
    """The ftyp of an init segment has brand cmfc or cmf2."""
    for where, _, init in _inits(tree):
        if not set(_CMAF) & set(init.brands):
            yield Fault(f"{where} ftyp", f"brands {', '.join(init.brands)}", "cmfc or cmf2 among them")


@must("CMAF 7.3.1")
def init_has_one_track(tree: Tree) -> Faults:
    """A CMAF track has one trak in its init segment."""
    for where, _, init in _inits(tree):
        if init.tracks != 1:
            yield Fault(f"{where} moov", f"{init.tracks} trak", "1")


@must("CMAF 7.5.1", "ISO/IEC 14496-12 8.8.1")
def init_is_fragmented(tree: Tree) -> Faults:
    """An init segment has mvex with trex, and no samples of its own."""
    for where, _, init in _inits(tree):
        if init.defaults is None:
            yield Fault(f"{where} moov", "no mvex/trex")
        if init.samples:
            yield Fault(f"{where} stsz", f"{init.samples} samples in the init segment", "0")


@must("CMAF 7.3.2.4", "ISO/IEC 14496-15 5.3.3")
def init_has_configuration(tree: Tree) -> Faults:
    """The sample entry has its decoder configuration (avcC, hvcC, av1C, esds)."""
    for where, _, init in _inits(tree):
        if not init.configured:
            yield Fault(f"{where} stsd/{init.entry}", "no readable decoder configuration")


@must("ISO/IEC 14496-12 8.4.3")
def handler_fits(tree: Tree) -> Faults:
    """The handler of the track is the media that the manifest says."""
    for where, track, init in _inits(tree):
        wanted = _HANDLERS.get(track.media, (init.handler,))
        if init.handler not in wanted:
            yield Fault(f"{where} hdlr", f"{init.handler} in a track of {track.media}", " or ".join(wanted))


@must("ISO/IEC 14496-12 8.4.2")
def timescale_is_positive(tree: Tree) -> Faults:
    """The time scale of a track is not 0."""
    for where, _, init in _inits(tree):
        if not init.timescale:
            yield Fault(f"{where} mdhd", "time scale 0")


@should("CMAF 9.2.1", "CMAF 7.5.9")
def video_has_shape_and_colour(tree: Tree) -> Faults:
    """The sample entry of video has pasp and colr."""
    for where, track, init in _inits(tree):
        missing = [n for n, v in (("pasp", init.shape), ("colr", init.colour)) if v is None]
        if track.media == "video" and missing:
            yield Fault(f"{where} stsd/{init.entry}", f"no {' and no '.join(missing)}")


@must("CMAF 9.2.1", "CMAF 7.5.13")
def edit_list_only_skips(tree: Tree) -> Faults:
    """With brand cmfc an edit list has one entry that takes time off the start at normal rate."""
    for where, _, init in _inits(tree):
        if "cmf2" not in init.brands and init.edits:
            only = init.edits[0]
            if len(init.edits) > 1 or only.media_time < 0 or only.rate != 0x10000 or only.duration:
                found = ", ".join(f"(duration {e.duration}, media time {e.media_time})" for e in init.edits[:3])
                yield Fault(f"{where} elst", found, "one entry: duration 0, media time 0 or more, rate 1")


@must("CMAF 9.2.1", "CMAF 7.7.3")
def cmf2_has_no_edit_list(tree: Tree) -> Faults:
    """With brand cmf2 video has no edit list; negative composition offsets do its work."""
    for where, track, init in _inits(tree):
        if track.media == "video" and "cmf2" in init.brands and init.edits:
            yield Fault(f"{where} elst", "an edit list beside brand cmf2")


@must("CMAF 9.2.1")
def cmfc_offsets_are_positive(tree: Tree) -> Faults:
    """Without brand cmf2 no composition offset is negative."""
    for track, init, timed, fragment in tree.fragments:
        if track.media == "video" and "cmf2" not in init.brands and fragment.negative_offsets:
            yield Fault(f"{timed.where} trun", "negative composition offsets without brand cmf2")


@must("CMAF 9.2.1", "CMAF 7.7.3")
def cmf2_fragments_stand_alone(tree: Tree) -> Faults:
    """With brand cmf2 each traf tells durations, sizes and flags of its samples, none is left to the trex."""
    for track, init, timed, fragment in tree.fragments:
        if track.media == "video" and "cmf2" in init.brands and not fragment.whole:
            yield Fault(f"{timed.where} tfhd", "samples that the trex describes, with brand cmf2")


@must("CMAF 7.5.14", "CMAF 7.3.2.1")
def fragment_has_one_traf(tree: Tree) -> Faults:
    """Each moof has one traf."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.trafs != 1:
            yield Fault(f"{timed.where} moof", f"{fragment.trafs} traf", "1")


@must("CMAF 7.5.17")
def fragment_has_one_trun(tree: Tree) -> Faults:
    """Each traf has one trun."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.truns != 1:
            yield Fault(f"{timed.where} traf", f"{fragment.truns} trun", "1")


@must("CMAF 7.5.16")
def fragment_has_tfdt(tree: Tree) -> Faults:
    """Each traf has a tfdt."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.decode_time is None:
            yield Fault(f"{timed.where} traf", "no tfdt")


@must("ISO/IEC 14496-12 8.8.7", "CMAF 7.5.15")
def fragment_is_of_its_track(tree: Tree) -> Faults:
    """The track_ID of a fragment is that of the init segment."""
    for _, init, timed, fragment in tree.fragments:
        if fragment.track_id != init.track_id or not init.track_id:
            yield Fault(f"{timed.where} tfhd", f"track {fragment.track_id}", f"{init.track_id}, not 0")


@must("CMAF 7.3.2.3", "CMAF 7.5.15")
def fragment_offsets_are_relative(tree: Tree) -> Faults:
    """Sample offsets count from the moof: default-base-is-moof, no base data offset."""
    for _, _, timed, fragment in tree.fragments:
        if not fragment.relative:
            yield Fault(f"{timed.where} tfhd", "base-data-offset, or no default-base-is-moof")


@must("CMAF 7.3.2.3")
def samples_in_own_mdat(tree: Tree) -> Faults:
    """All samples of a fragment lie in the mdat that follows its moof."""
    for _, _, timed, fragment in tree.fragments:
        if not fragment.inside:
            yield Fault(f"{timed.where} trun", "samples outside of the mdat that follows")


@must("CMAF 7.3.2.2")
def fragments_run_on(tree: Tree) -> Faults:
    """A fragment's decode time is the sum of all durations before it, within segments and from one to the next."""
    for track in tree.tracks:
        end: int | None = None
        for _, timed, segment in track.pairs:
            end = None if timed.fresh else end
            for fragment in segment.fragments:
                if end is not None and fragment.decode_time not in (None, end):
                    yield Fault(f"{timed.where} tfdt", f"decode time {fragment.decode_time}", f"{end}")
                end = fragment.end


@must("CMAF 7.3.2.4")
def fragments_start_with_sync(tree: Tree) -> Faults:
    """Every fragment starts with a sync sample."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.samples and (not fragment.sync or fragment.sync[0] != 0):
            yield Fault(f"{timed.where} trun", "a fragment that starts with a sample that depends on others")


@must("CMAF 7.3.2.1")
def fragments_have_samples(tree: Tree) -> Faults:
    """Every fragment has samples, and they take time."""
    for _, _, timed, fragment in tree.fragments:
        if not fragment.samples or not fragment.duration:
            yield Fault(f"{timed.where} trun", f"{fragment.samples} samples of {fragment.duration} ticks")


@must("ISO/IEC 14496-12 8.8.5")
def sequence_numbers_rise(tree: Tree) -> Faults:
    """The sequence numbers of the fragments of a track rise."""
    for track in tree.tracks:
        last: int | None = None
        for _, timed, segment in track.pairs:
            for fragment in segment.fragments:
                if last is not None and fragment.sequence <= last and not timed.fresh:
                    yield Fault(
                        f"{timed.where} mfhd", f"sequence number {fragment.sequence} after {last}", "a higher one"
                    )
                last = fragment.sequence


@must("CMAF 7.3.2.3", "CMAF 8.2")
def no_mixed_encryption(tree: Tree) -> Faults:
    """A protected sample entry has encrypted fragments only, a clear one none."""
    for track in tree.tracks:
        kinds = {f.encrypted for _, _, s in track.pairs for f in s.fragments}
        if len(kinds) > 1:
            yield Fault(track.where, "clear and encrypted fragments in one track")
        elif track.init and True in kinds and not track.init.protected:
            yield Fault(track.where, "encrypted fragments, a clear sample entry")


@should("CMAF 7.3.3.1", "CMAF 7.2")
def segment_has_brand(tree: Tree) -> Faults:
    """Where a segment has a styp, it names cmfs, cmff or cmfl."""
    for track in tree.tracks:
        for _, timed, segment in track.pairs:
            if segment.brands and not {"cmfs", "cmff", "cmfl"} & set(segment.brands):
                yield Fault(f"{timed.where} styp", f"brands {', '.join(segment.brands)}", "cmfs among them")
                break


@must("CMAF 7.3.3.3")
def segment_index_is_true(tree: Tree) -> Faults:
    """The subsegments of a sidx within a segment are fragments: they last as long, and end with one."""
    for track in tree.tracks:
        for init, timed, segment in track.pairs:
            index = segment.index
            if index is None or index.timescale != init.timescale:
                continue
            told = list(accumulate(ticks for _, ticks in index.entries))
            borders = list(accumulate(f.duration for f in segment.fragments))
            played = [border - timed.edited for border in borders] if init.handler == "soun" else borders
            if not any(told[-1:] == ends[-1:] and set(told) <= set(ends) for ends in (borders, played)):
                yield Fault(f"{timed.where} sidx", f"{sum(t for _, t in index.entries)} ticks", f"{segment.duration}")


RULES = rules_of(globals())
