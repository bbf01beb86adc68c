"""Rules of samples: when they are shown, where a decoder begins, whether pictures are whole (CMAF, 14496-15). Pure."""

from __future__ import annotations

from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Tree

_IN_ENTRY = ("avc1", "hvc1", "dvh1")


@must("CMAF 7.5.13")
def edit_list_takes_the_delay_off(tree: Tree) -> Faults:
    """With brand cmfc the edit list of video begins at its first picture, so that this is shown at time 0."""
    for track in tree.tracks:
        for init, timed, segment in track.pairs[:1] if track.media == "video" else ():
            first = segment.fragments[0]
            delay = first.shown_from - (first.decode_time or 0)
            if "cmfc" in init.brands and "cmf2" not in init.brands and delay != init.skipped:
                found = f"the first picture is shown {delay} ticks after it is decoded, {init.skipped} are edited away"
                yield Fault(f"{timed.where} elst", found, "as many")


@must("CMAF 7.5.17")
def cmf2_fragments_begin_on_time(tree: Tree) -> Faults:
    """With brand cmf2 the first picture of a fragment is shown at the fragment's decode time."""
    for track, init, timed, fragment in tree.fragments:
        if track.media == "video" and "cmf2" in init.brands and fragment.shown_from != fragment.decode_time:
            yield Fault(f"{timed.where} trun", f"shown from {fragment.shown_from}", f"{fragment.decode_time}")


@must("Apple 7.1", "CMAF 7.3.2.2")
def pictures_are_shown_in_a_row(tree: Tree) -> Faults:
    """No two samples of a fragment are shown at once, and equally long ones leave no gap."""
    for _, _, timed, fragment in tree.fragments:
        if not fragment.in_row:
            yield Fault(f"{timed.where} trun", "composition offsets that let pictures overlap, or leave a gap")


@must("ISO/IEC 14496-12 8.8.8", "ISO/IEC 14496-12 8.6.2", "ISO/IEC 14496-12 8.6.4")
def sync_samples_are_such(tree: Tree) -> Faults:
    """What is marked as a sync sample depends on no other, by its flags and by the type of its picture."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.false_sync:
            yield Fault(f"{timed.where} trun", "a sync sample that depends on others")


@must("ISO/IEC 14496-15 5.3.4", "ISO/IEC 14496-15 8.3.4")
def first_pictures_are_whole(tree: Tree) -> Faults:
    """The NAL units of the first sample of a fragment fill it, and its picture is none of zeros."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.inside and fragment.front.unsound:
            yield Fault(f"{timed.where} mdat", fragment.front.unsound)


@must("ISO/IEC 14496-15 5.3.3", "ISO/IEC 14496-15 8.3.3")
def parameter_sets_stay_in_the_entry(tree: Tree) -> Faults:
    """Of avc1 and hvc1 no sample that a fragment begins with has parameter sets."""
    for _, init, timed, fragment in tree.fragments:
        if init.entry in _IN_ENTRY and fragment.front.sets:
            yield Fault(f"{timed.where} mdat", f"parameter sets in samples of {init.entry}", "in their entry alone")


@should("CMAF 7.3.2.3")
def samples_fill_the_mdat(tree: Tree) -> Faults:
    """The samples of a fragment fill its mdat: what is of no sample is lost, or a sample is told too short."""
    for _, _, timed, fragment in tree.fragments:
        if fragment.inside and fragment.spare:
            yield Fault(f"{timed.where} mdat", f"{fragment.spare} bytes that are of no sample")


@must("ISO/IEC 23009-1 6.3.4.2", "CMAF 7.3.2.3")
def segment_is_of_fragments(tree: Tree) -> Faults:
    """A media segment has no ftyp, no moov and no mdat without a moof before it."""
    for track in tree.tracks:
        for _, timed, segment in track.pairs:
            if segment.stray:
                yield Fault(timed.where, f"{', '.join(segment.stray)} in a media segment")


RULES = rules_of(globals())
