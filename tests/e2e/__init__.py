"""The command `raven` as its users have it: real sources in, files on the disk judged by ffmpeg out."""
