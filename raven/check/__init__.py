"""The checker: reads HLS playlists, an MPD and their CMAF segments, and says which rules of the standards they break.

`m3u8`, `mpd`, `isobmff`, `codecs` and `vtt` turn bytes into values; `load` gathers them through a `Reader` into one
`Tree`; the `rules_*` modules are tables of small pure functions over that tree. Only `readers` touches files and nets.
It takes nothing from Raven's writers, so that a mistake of theirs cannot hide here.
"""
