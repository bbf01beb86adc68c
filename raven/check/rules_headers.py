"""Rules of init segments: headers, data references, parameter sets (ISO/IEC 14496-12 and -15, CMAF 7.5). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from raven.check.isobmff import Init
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Tree

_MEDIA = {"vide": "vmhd", "soun": "smhd"}
_HEVC = ("hvc1", "hev1", "dvh1", "dvhe")
_IN_ENTRY = ("avc1", "hvc1", "dvh1")


def _all(tree: Tree) -> Iterator[tuple[str, Init]]:
    return ((str(resource), init) for resource, init in tree.inits.items())


@must("CMAF 7.5.1", "CMAF 7.5.4")
def headers_have_defaults(tree: Tree) -> Faults:
    """Movie and track header have no rate, volume, matrix or duration of their own, but those of CMAF."""
    for where, init in _all(tree):
        if init.headers.odd:
            yield Fault(f"{where} moov", f"another {', '.join(init.headers.odd)}", "the default")


@must("ISO/IEC 14496-12 8.3.2")
def track_is_enabled(tree: Tree) -> Faults:
    """The track is enabled; else players leave it."""
    for where, init in _all(tree):
        if not init.headers.enabled:
            yield Fault(f"{where} tkhd", "a track that is not enabled", "flag 1")


@must("ISO/IEC 14496-12 8.8.3")
def trex_is_of_the_track(tree: Tree) -> Faults:
    """The trex is about the track of the init segment, and a sample entry that it has."""
    for where, init in _all(tree):
        if init.headers.extends not in (None, init.track_id):
            yield Fault(f"{where} trex", f"track {init.headers.extends}", str(init.track_id))
        elif not 1 <= init.headers.description <= init.entries:
            yield Fault(f"{where} trex", f"sample entry {init.headers.description}", f"1 to {init.entries}")


@must("ISO/IEC 14496-12 8.4.5")
def media_header_fits(tree: Tree) -> Faults:
    """Video has a vmhd, audio an smhd."""
    for where, init in _all(tree):
        wanted = _MEDIA.get(init.handler, init.headers.media)
        if init.headers.media != wanted:
            yield Fault(f"{where} minf", init.headers.media or "no media header", wanted)


@must("ISO/IEC 14496-12 8.7.2", "CMAF 7.3.2.3")
def media_is_in_the_file(tree: Tree) -> Faults:
    """The data reference says that the media is in the same file."""
    for where, init in _all(tree):
        if not init.headers.inside:
            yield Fault(f"{where} dref", "media in another file, or no dref", "an entry with flag 1")
        elif init.headers.lost:
            yield Fault(f"{where} stsd/{init.entry}", f"data reference {init.headers.reference}", "one that dref has")


@must("ISO/IEC 14496-15 5.3.3", "ISO/IEC 14496-15 8.3.3", "CMAF 7.3.2.4")
def parameter_sets_are_there(tree: Tree) -> Faults:
    """Of avc1 and hvc1 the configuration has all kinds of parameter sets, as they are nowhere else."""
    for where, init in _all(tree):
        if init.entry in _IN_ENTRY and init.configured and init.codec.lacks:
            yield Fault(f"{where} stsd/{init.entry}", f"no {', no '.join(init.codec.lacks)} in its configuration")


@must("ISO/IEC 14496-15 5.3.3", "ISO/IEC 14496-15 8.3.3")
def configuration_is_of_its_sps(tree: Tree) -> Faults:
    """Profile, level and, in HEVC, chroma and bits of the configuration are those of its sequence parameter set."""
    for where, init in _all(tree):
        codec = init.codec
        if codec.sps and codec.sps.profile != codec.profile_bytes:
            yield Fault(f"{where} stsd/{init.entry}", codec.profile_bytes.hex(), codec.sps.profile.hex())
        elif codec.sps and init.entry in _HEVC and (codec.chroma, codec.bits) != (codec.sps.chroma, codec.sps.bits):
            found, wanted = (f"chroma {one.chroma}, {one.bits} bits" for one in (codec, codec.sps))
            yield Fault(f"{where} stsd/{init.entry}", found, wanted)


@must("ISO/IEC 14496-12 12.1.3", "CMAF 9.2.3")
def size_is_of_its_sps(tree: Tree) -> Faults:
    """Width and height of the sample entry are those of the picture in its sequence parameter set."""
    for where, init in _all(tree):
        sps = init.codec.sps
        if sps and (init.width, init.height) != (sps.width, sps.height):
            found = f"{init.width}x{init.height}"
            yield Fault(f"{where} stsd/{init.entry}", found, f"{sps.width}x{sps.height}")


@should("ISO/IEC 14496-12 8.3.2", "CMAF 7.5.4")
def track_has_the_size_of_its_picture(tree: Tree) -> Faults:
    """The size in the track header is that of the picture with square pixels: players scale to it."""
    for where, init in _all(tree):
        across, down = init.shape if init.shape and all(init.shape) else (1, 1)
        width, height = init.headers.size
        if init.handler == "vide" and (abs(width * down - init.width * across) > 2 * down or height != init.height):
            yield Fault(f"{where} tkhd", f"{width}x{height}", f"{init.width * across // down}x{init.height}")


RULES = rules_of(globals())
