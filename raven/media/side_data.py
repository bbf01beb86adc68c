"""What decoders attach to a frame: display matrix, light levels, captions. Of PyAV's frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from av.sidedata.sidedata import Type

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def _unnamed(kind: type[Type], value: object) -> Type | None:
    """A kind that libavcodec has and PyAV has no name for, such as the view of a spatial video, or Exif.

    PyAV lists what a frame has by its names, and one without a name would make the whole list fail.
    """
    if not isinstance(value, int):
        return None
    member: Any = object.__new__(kind)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return cast(Type, member)


Type._missing_ = classmethod(_unnamed)  # type: ignore[assignment, method-assign]


def side_data(frame: VideoFrame, kind: str) -> bytes:
    """Its side data of one kind, by PyAV's name; empty where it has none."""
    found: Any = frame.side_data.get(kind)
    return b"" if found is None else bytes(found)
