"""The child that makes the copies of one video: confined before it opens anything, and ended with its medium."""

from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import asdict

import av

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode import Decoding, Limits, load_decoder
from ffpipe.stages.decode.channel import Channel, ChannelClosed
from ffpipe.stages.decode.protection import bound_cpu, confine, die_with_parent
from ffpipe.stages.sampling import Sampling
from ffpipe.stages.transcode.encoding import transcode

#: Errors of writing that are the disk's fault and not the medium's.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def main(arguments: list[str]) -> None:
    """Protect this process, then make the copies that the parent asks for.

    Arguments: parent's process id, socket descriptor, limits as JSON, path, and the outputs as JSON, rate factor
    -> descriptor.
    """
    parent, channel_end, bounds, path, targets = arguments
    die_with_parent(int(parent))
    limits = Limits(**json.loads(bounds))
    outputs = {int(crf): int(descriptor) for crf, descriptor in json.loads(targets).items()}
    confine(limits.memory_bytes, limits.max_bytes, outputs.values())
    channel = Channel(socket.socket(fileno=int(channel_end)))
    try:
        # The encoder opens its file by name; this one names the open descriptor.
        named = {crf: f"/proc/self/fd/{descriptor}" for crf, descriptor in outputs.items()}
        _transcode(channel, path, named, limits)
    except ChannelClosed:
        return


def _transcode(channel: Channel, path: str, outputs: dict[int, str], limits: Limits) -> None:
    bound_cpu(limits.cpu_seconds)
    sampling = Sampling.of_all(limits.max_frames)
    try:
        with Decoding(os.fsencode(path), sampling, load_decoder("pyav"), limits) as decoding:
            bound_cpu(limits.cpu_seconds + limits.allowance(decoding.duration))
            channel.send(kind="header", duration=decoding.duration)
            facts = transcode(decoding, outputs)
            channel.send(kind="end", **asdict(facts))
    except MediaError as error:
        channel.send(kind="error", status=error.status, reason=error.reason)
    except MemoryError:
        channel.send(kind="error", status=Status.TOO_LARGE, reason="it needs more memory than the limit")
    except (av.FFmpegError, OSError) as error:
        words = str(error.strerror or error)
        if error.errno in _DISK:
            channel.send(kind="disk", reason=words)
        else:
            channel.send(kind="error", status=Status.UNSUPPORTED, reason=f"cannot be encoded: {words}")
