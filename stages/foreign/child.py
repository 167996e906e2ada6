"""The child that opens one foreign checkpoint: confined before it reads a byte, and ended with its file."""

from __future__ import annotations

import errno
import os
import resource
import socket
from dataclasses import asdict
from pathlib import Path

from ffpipe.stages.decode.channel import Channel, ChannelClosed
from ffpipe.stages.decode.protection import bound_cpu, confine, die_with_parent, leave_network

#: Address space beyond what the libraries take: some, and the file several times over (mapped, copied, written).
_MEMORY, _MEMORY_PER_BYTE = 1 << 30, 8
#: Room for the names in what is written.
_HEADER = 16 << 20
_BLOCK = 1 << 24


def main(arguments: list[str]) -> None:
    """Protect this process, then take the tensors out of the one file and write them as safetensors into the other.

    Arguments: parent's process id, descriptors of the socket, the checkpoint and the file to write, CPU seconds.
    """
    parent, channel_end, source, target, seconds = arguments
    die_with_parent(int(parent))
    # A user may enter a namespace for good only while the process has one thread, and torch may start others.
    leave_network()
    # Importing torch runs programs and writes temporary files, so what forbids that comes after it.
    from ffpipe.stages.foreign import reading

    size = os.fstat(int(source)).st_size
    memory = _used() + _MEMORY + _MEMORY_PER_BYTE * size
    confine(memory, reading.GROWTH * size + reading.SLACK + _HEADER, [int(target)])
    bound_cpu(float(seconds))
    channel = Channel(socket.socket(fileno=int(channel_end)))
    try:
        _convert(channel, Path(f"/proc/self/fd/{source}"), size, int(target))
    except ChannelClosed:
        return


def _used() -> int:
    """Bytes of address space that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _convert(channel: Channel, path: Path, size: int, target: int) -> None:
    import safetensors.torch

    from ffpipe.stages.foreign.reading import ForeignError, read

    try:
        taken, tensors = read(path, size)
        # Copies, since tensors may share memory, which the format cannot say.
        content = safetensors.torch.save(
            {name: value.clone().contiguous() for name, value in tensors.items()}
        )
        _write(target, content)
    except ForeignError as error:
        channel.send(kind="error", reason=str(error))
    except MemoryError:
        channel.send(kind="error", reason="needs more memory than a file of its size may")
    except OSError as error:
        kind = "disk" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else "error"
        channel.send(kind=kind, reason=f"cannot be read or written: {error.strerror or type(error).__name__}")
    else:
        channel.send(kind="end", tensors=len(tensors), **asdict(taken))


def _write(target: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(target, view[:_BLOCK]) :]
