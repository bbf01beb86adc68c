"""Rules of renditions and their groups: EXT-X-MEDIA (RFC 8216 4.3.4.1, Apple chapters 2, 4, 8). Pure."""

from __future__ import annotations

from collections import Counter, defaultdict

from raven.check.m3u8 import Tag
from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.rules_variants import at
from raven.check.tree import Track, Tree

_TYPES = ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS")
_STEREO = ("mp4a.40.2", "mp4a.40.5", "mp4a.40.29")


@must("RFC 8216 4.3.4.1")
def media_tags_complete(tree: Tree) -> Faults:
    """Every EXT-X-MEDIA has a known TYPE, a GROUP-ID and a NAME."""
    for tag in tree.renditions:
        missing = [name for name in ("TYPE", "GROUP-ID", "NAME") if not tag.text(name)]
        if missing or tag.text("TYPE") not in _TYPES:
            yield Fault(at(tree, tag), f"no {', '.join(missing)}" if missing else f"TYPE={tag.text('TYPE')}")


@must("RFC 8216 4.3.4.1")
def captions_are_in_stream(tree: Tree) -> Faults:
    """CLOSED-CAPTIONS have an INSTREAM-ID (CC1 to CC4, SERVICE1 to SERVICE63) and no URI, SUBTITLES have a URI."""
    services = {*(f"CC{n}" for n in range(1, 5)), *(f"SERVICE{n}" for n in range(1, 64))}
    for tag in tree.renditions:
        kind = tag.text("TYPE")
        if kind == "CLOSED-CAPTIONS" and (tag.text("URI") or tag.text("INSTREAM-ID") not in services):
            yield Fault(
                at(tree, tag), f"INSTREAM-ID {tag.text('INSTREAM-ID')}, URI {tag.text('URI')}", "an id and no URI"
            )
        elif kind == "SUBTITLES" and not tag.text("URI"):
            yield Fault(at(tree, tag), "SUBTITLES without a URI")


def _groups(tree: Tree) -> dict[tuple[str, str], list[Tag]]:
    found: dict[tuple[str, str], list[Tag]] = defaultdict(list)
    for tag in tree.renditions:
        found[tag.text("TYPE") or "", tag.text("GROUP-ID") or ""].append(tag)
    return found


@must("RFC 8216 4.3.4.1.1")
def group_names_unique(tree: Tree) -> Faults:
    """The members of a group have different names."""
    for members in _groups(tree).values():
        counted = Counter(tag.text("NAME") for tag in members)
        for tag in members[1:]:
            if counted[tag.text("NAME")] > 1:
                yield Fault(at(tree, tag), f"NAME {tag.text('NAME')} for the second time in its group")
                break


@must("RFC 8216 4.3.4.1.1")
def group_has_one_default(tree: Tree) -> Faults:
    """A group has at most one member with DEFAULT=YES."""
    for members in _groups(tree).values():
        defaults = [tag for tag in members if tag.text("DEFAULT") == "YES"]
        for tag in defaults[1:]:
            yield Fault(at(tree, tag), "DEFAULT=YES for the second time in its group")


@must("RFC 8216 4.3.4.1")
def default_is_autoselect(tree: Tree) -> Faults:
    """DEFAULT=YES does not stand beside AUTOSELECT=NO."""
    for tag in tree.renditions:
        if (
            tag.text("DEFAULT") == "YES"
            and tag.text(
                "AUTOSELECT",
            )
            == "NO"
        ):
            yield Fault(at(tree, tag), "DEFAULT=YES,AUTOSELECT=NO")


@must("RFC 8216 4.3.4.1")
def forced_is_subtitles(tree: Tree) -> Faults:
    """FORCED stands on SUBTITLES alone."""
    for tag in tree.renditions:
        if tag.text("FORCED") is not None and tag.text("TYPE") != "SUBTITLES":
            yield Fault(at(tree, tag), f"FORCED on TYPE={tag.text('TYPE')}")


@must("RFC 8216 4.3.4.2")
def groups_exist(tree: Tree) -> Faults:
    """A group that a variant names exists with that type."""
    for tag, _ in tree.variants:
        for kind in _TYPES:
            name = tag.text(kind)
            if name and not (kind == "CLOSED-CAPTIONS" and name == "NONE") and not tree.group(kind, name):
                yield Fault(at(tree, tag), f'{kind}="{name[:40]}", which no EXT-X-MEDIA has')


@must("RFC 8216 4.3.4.2.1")
def groups_alike(tree: Tree) -> Faults:
    """All groups of a type have the same members, alike but for URI, CHANNELS and GROUP-ID."""
    for kind in _TYPES:
        groups = [members for (k, _), members in _groups(tree).items() if k == kind]
        for members in groups[1:]:
            first, here = ({_identity(tag) for tag in group} for group in (groups[0], members))
            if first != here:
                yield Fault(
                    at(tree, members[0]),
                    f"group {members[0].text('GROUP-ID')} of {kind}",
                    "the members of the first group",
                )


def _identity(tag: Tag) -> frozenset[tuple[str, str]]:
    own = {"URI", "CHANNELS", "GROUP-ID", "BIT-DEPTH", "SAMPLE-RATE"}
    return frozenset((k, v) for k, v in tag.attributes.items() if k not in own)


@must("RFC 8216 4.3.4.2")
def no_captions_on_all_or_none(tree: Tree) -> Faults:
    """CLOSED-CAPTIONS=NONE stands on every variant or on none."""
    tags = [tag for tag, _ in tree.variants]
    none = [tag for tag in tags if tag.attributes.get("CLOSED-CAPTIONS") == "NONE"]
    if none and len(none) < len(tags):
        yield Fault(at(tree, none[0]), "CLOSED-CAPTIONS=NONE here, not on all variants")


@must("Apple 8.10", "Apple 4.7", "Apple 4.4")
def languages_given(tree: Tree) -> Faults:
    """Every EXT-X-MEDIA that is not video has LANGUAGE."""
    for tag in tree.renditions:
        if tag.text("TYPE") != "VIDEO" and not tag.text("LANGUAGE"):
            yield Fault(at(tree, tag), "no LANGUAGE")


@should("Apple 5.11")
def forced_is_autoselect(tree: Tree) -> Faults:
    """Forced subtitles have AUTOSELECT=YES."""
    for tag in tree.renditions:
        if tag.text("FORCED") == "YES" and tag.text("AUTOSELECT") != "YES":
            yield Fault(at(tree, tag), "FORCED=YES without AUTOSELECT=YES")


@must("Apple 2.13", "Apple 4.6")
def accessible_is_autoselect(tree: Tree) -> Faults:
    """Audio description and subtitles for the deaf have AUTOSELECT=YES."""
    wanted = ("public.accessibility.describes-video", "public.accessibility.transcribes-spoken-dialog")
    for tag in tree.renditions:
        marked = (tag.text("CHARACTERISTICS") or "").split(",")
        if any(w in marked for w in wanted) and tag.text("AUTOSELECT") != "YES":
            yield Fault(at(tree, tag), "CHARACTERISTICS of accessibility without AUTOSELECT=YES")


def _audio(tree: Tree) -> list[tuple[Tag, Track]]:
    """Audio renditions that have a playlist of their own."""
    found = ((t, tree.track_of(t.text("URI"))) for t in tree.renditions if t.text("TYPE") == "AUDIO")
    return [(tag, track) for tag, track in found if track]


def channels_of(tag: Tag) -> int | None:
    count = (tag.text("CHANNELS") or "").partition("/")[0]
    return int(count) if count.isdecimal() and len(count) < 5 else None


@should("RFC 8216 4.3.4.1")
def channels_given(tree: Tree) -> Faults:
    """Every audio rendition has CHANNELS."""
    for tag, _ in _audio(tree):
        if channels_of(tag) is None:
            yield Fault(at(tree, tag), "no CHANNELS")


@must("RFC 8216 4.3.4.1")
def channels_given_where_they_differ(tree: Tree) -> Faults:
    """CHANNELS stands on all audio renditions of a codec that comes with different numbers of channels."""
    found = [(tag, track.init) for tag, track in _audio(tree) if track.init]
    counts: dict[str, set[int]] = defaultdict(set)
    for _, init in found:
        counts[init.codec.text].add(init.channels)
    for tag, init in found:
        if len(counts[init.codec.text]) > 1 and channels_of(tag) is None:
            yield Fault(at(tree, tag), "no CHANNELS", f"{init.channels}, as the others have another number")


@must("RFC 8216 4.3.4.1")
def channels_are_true(tree: Tree) -> Faults:
    """CHANNELS is the number of channels of the init segment."""
    for tag, track in _audio(tree):
        declared = channels_of(tag)
        if declared is not None and track.init and track.init.codec.channels not in (0, declared):
            yield Fault(at(tree, tag), f"CHANNELS {declared}", f"{track.init.codec.channels} as in {track.where}")


RULES = rules_of(globals())
