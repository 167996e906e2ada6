"""The gate before any decoder: what kind of file this is, told from its own bytes, without trusting its name."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.contract import Limits

Kind = Literal["video", "image"]

#: Bytes looked at to recognise a file: three MPEG transport packets of 192 bytes, and one byte.
HEAD_BYTES = 577

#: Types of the box that an mp4 or QuickTime file may begin with.
_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"})
#: Brands of still pictures in an mp4's clothes.
_STILL_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif"})
#: FFmpeg demuxer, or image format, by the first bytes.
_PREFIXES: tuple[tuple[bytes, Kind, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "video", "matroska"),
    (b"FLV\x01", "video", "flv"),
    (b"OggS", "video", "ogg"),
    (b"GIF87a", "video", "gif"),
    (b"GIF89a", "video", "gif"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video", "asf"),
    (b"\x00\x00\x01\xba", "video", "mpeg"),
    (b"\x00\x00\x01\xb3", "video", "mpegvideo"),
    (b"\xff\xd8\xff", "image", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "image", "PNG"),
    (b"BM", "image", "BMP"),
    (b"II*\x00", "image", "TIFF"),
    (b"MM\x00*", "image", "TIFF"),
)
#: What lists other files instead of holding pictures; decoders would open what it names.
_PLAYLISTS: tuple[tuple[bytes, str], ...] = (
    (b"#EXTM3U", "an HLS playlist"),
    (b"ffconcat", "a list of files to join"),
    (b"v=0", "a session description"),
    (b"<MPD", "a DASH manifest"),
    (b"[playlist]", "a playlist"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A regular file, open for reading, whose bytes were recognised.

    format is FFmpeg's demuxer name for a video and Pillow's format name for an image. Decoders get `url`,
    which names the open descriptor: no file name reaches a decoder, whatever it looks like.
    """

    descriptor: int
    size: int
    kind: Kind
    format: str

    @property
    def url(self) -> str:
        """A path of plain characters by which this process can open the same file once more."""
        return f"/proc/self/fd/{self.descriptor}"

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


def open_source(path: bytes, limits: Limits) -> Source:
    """Open a file read-only if it is a regular one whose first bytes are those of a known kind of medium.

    Raises:
        MediaError: missing, unreadable (no permission, no bytes), unsupported (no regular file, a playlist,
            no known medium) or too_large (bytes).
    """
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        if size == 0:
            raise MediaError(Status.UNREADABLE, "the file is empty")
        if size > limits.max_bytes:
            raise MediaError(Status.TOO_LARGE, f"{size} bytes; the limit is {limits.max_bytes}")
        kind, name = recognise(os.pread(descriptor, HEAD_BYTES, 0))
    except (MediaError, OSError) as error:
        os.close(descriptor)
        raise _as_media_error(error) from error
    return Source(descriptor, size, kind, name)


def open_regular(path: bytes) -> int:
    """A descriptor of a regular file; anything else is refused before it is opened, since opening can block.

    Raises:
        MediaError: missing, unreadable, or unsupported (no regular file).
    """
    try:
        _check_regular(os.stat(path))  # noqa: PTH116 - the path is bytes, which need not be UTF-8
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            _check_regular(os.fstat(descriptor))
        except MediaError:
            os.close(descriptor)
            raise
    except OSError as error:
        raise _as_media_error(error) from error
    return descriptor


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        names = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
        name = names.get(stat.S_IFMT(status.st_mode), "device")
        raise MediaError(Status.UNSUPPORTED, f"a {name}, not a regular file")


def _as_media_error(error: MediaError | OSError) -> MediaError:
    if isinstance(error, MediaError):
        return error
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    status = Status.MISSING if missing else Status.UNREADABLE
    return MediaError(status, error.strerror or type(error).__name__)


def recognise(head: bytes) -> tuple[Kind, str]:
    """Kind and format of a medium from its first HEAD_BYTES bytes (or all of them, if fewer).

    Raises:
        MediaError: unsupported.
    """
    for prefix, kind, name in _PREFIXES:
        if head.startswith(prefix):
            return kind, name
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP"):
        return ("video", "avi") if head[8:12] == b"AVI " else ("image", "WEBP")
    if head[4:8] in _FIRST_BOXES:
        if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS:
            raise MediaError(Status.UNSUPPORTED, "a HEIF or AVIF still picture; convert it to PNG")
        return "video", "mov"
    if any(head[at::packet][:3] == b"\x47\x47\x47" for at, packet in ((0, 188), (4, 192))):
        return "video", "mpegts"
    elementary = _elementary_stream(head)
    if elementary:
        return "video", elementary
    raise MediaError(Status.UNSUPPORTED, _what_instead(head))


def _elementary_stream(head: bytes) -> str | None:
    """H.264 and HEVC without a container begin with a parameter set or a delimiter behind a start code."""
    if not head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return None
    first, second = head[head.index(1) + 1 :][:2].ljust(2, b"\x00")
    if second == 1 and first in (0x40, 0x46):
        return "hevc"
    return "h264" if first in (0x67, 0x27, 0x47, 0x09) else None


def _what_instead(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for prefix, name in _PLAYLISTS:
        if text.startswith(prefix) or (prefix == b"<MPD" and text.startswith(b"<?xml") and b"<MPD" in text):
            return f"{name}: it names other files and holds no picture itself"
    return "no known video or image: its first bytes are of no such format"
