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
from ffpipe.stages.decode.protection import bound_cpu, bound_resources, cut_network, die_with_parent
from ffpipe.stages.sampling import Sampling
from ffpipe.stages.transcode.encoding import transcode

#: Errors of writing that are the disk's fault and not the medium's.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def main(arguments: list[str]) -> None:
    """Protect this process, then make the copies that the parent asks for.

    Arguments: parent's process id, socket descriptor, limits as JSON, path, and the outputs as JSON, rate factor
    -> path.
    """
    parent, channel_end, bounds, path, targets = arguments
    die_with_parent(int(parent))
    cut_network()
    limits = Limits(**json.loads(bounds))
    outputs = {int(crf): target for crf, target in json.loads(targets).items()}
    bound_resources(limits.memory_bytes, limits.max_bytes)
    channel = Channel(socket.socket(fileno=int(channel_end)))
    try:
        _transcode(channel, path, outputs, limits)
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
