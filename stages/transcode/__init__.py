"""Copies of a video at other rate factors, made in a process that is confined as the decoding one is."""

from ffpipe.stages.transcode.confined import transcode_confined
from ffpipe.stages.transcode.encoding import CODEC, PRESET, Transcoded, transcode

__all__ = ["CODEC", "PRESET", "Transcoded", "transcode", "transcode_confined"]
