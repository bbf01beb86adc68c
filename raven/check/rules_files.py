"""Rules of the files as such: all there, readable, delivered as players like it (Apple chapters 8, 10, 11). Pure."""

from __future__ import annotations

from raven.check.rule import Fault, Faults, must, rules_of, should
from raven.check.tree import Tree

_PLAYLIST = ("application/vnd.apple.mpegurl", "audio/mpegurl")
_MIME = {
    "m3u8": _PLAYLIST,
    "mpd": ("application/dash+xml",),
    "mp4": ("video/mp4", "audio/mp4", "application/mp4"),
    "m4s": ("video/iso.segment", "video/mp4", "audio/mp4", "application/mp4"),
    "vtt": ("text/vtt", "text/plain"),
    "ts": ("video/mp2t",),
}
"""Apple 10.4, ISO/IEC 23009-1 annex C."""


@must("RFC 8216 4.3.2", "DASH-IF timing 5.2")
def files_are_there(tree: Tree) -> Faults:
    """Every file that a manifest names is there, as long as its byte range says."""
    for problem in tree.problems:
        if problem.kind == "missing":
            yield Fault(problem.where, problem.reason)


@must("ISO/IEC 14496-12 4.2", "ISO/IEC 23009-1 5.2")
def files_are_sound(tree: Tree) -> Faults:
    """Every file can be read as what it is: boxes that fit into each other, XML, text."""
    for problem in tree.problems:
        if problem.kind == "damaged":
            yield Fault(problem.where, problem.reason)


@must("DASH-IF IOP 3.2.15", "RFC 8216 4.1")
def files_are_within(tree: Tree) -> Faults:
    """Every reference stays within the tree, so that it can be moved and served from one place."""
    for problem in tree.problems:
        if problem.kind == "outside":
            yield Fault(problem.where, problem.reason)


@must("Apple 8.18")
def nothing_is_redirected(tree: Tree) -> Faults:
    """The server answers no request of playlists and media with a redirect."""
    for problem in tree.problems:
        if problem.kind == "moved":
            yield Fault(problem.where, problem.reason)


@should("Apple 10.4", "ISO/IEC 23009-1 C")
def mime_types_fit(tree: Tree) -> Faults:
    """The server sends the media types that players expect."""
    for path, served in tree.served.items():
        wanted = _MIME.get(path.partition("?")[0].rpartition(".")[2], ())
        if wanted and served.mime not in wanted:
            yield Fault(path, f"Content-Type {served.mime}", wanted[0])


@should("Apple 10.1")
def playlists_are_gzipped(tree: Tree) -> Faults:
    """The server sends playlists with gzip. (Apple: a must of the server, not of the tree.)"""
    for path, served in tree.served.items():
        if served.mime in _PLAYLIST and not served.gzip:
            yield Fault(path, "no Content-Encoding", "gzip")


@should("Apple 11.1", "Apple 11.2", "Apple 11.3")
def delivered_by_tls(tree: Tree) -> Faults:
    """Playlists and media come by https."""
    if tree.origin and not tree.origin.startswith("https:"):
        yield Fault(tree.origin, "http", "https")


RULES = rules_of(globals())
