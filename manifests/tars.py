"""Reads tar and tar.gz archives from front to back, bounded in memory whatever they hold; nothing is unpacked.

The standard library's `tarfile` reads a header's extension into memory however long it says it is, and goes back in a
compressed archive by unpacking it from the start. This reader takes what archives of pictures need: regular files
and folders in the ustar, GNU and pax formats. Anything else (links, devices, sparse files) is told by its kind and
passed over. Sizes and names are checked before they are used, and an archive that unpacks to far more than its own
size is given up.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from ffpipe.manifests.inputs import path_bytes

TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar")

_BLOCK = 512
#: Bytes unpacked at a time.
_STEP = 1 << 20
#: Longest extension of a header, in bytes: names are at most 4096 bytes long.
_MAX_EXTENSION = 1 << 16
#: Bytes that any archive may unpack to, and how many times its own size beyond that. Pictures hardly shrink.
_FREE_BYTES, _MAX_EXPANSION = 64 << 20, 50
#: Most members of one archive.
_MAX_MEMBERS = 4_000_000

_LONG_NAME, _PAX, _IGNORED = b"L", (b"x", b"X"), (b"g", b"K")
_OTHERS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a named pipe",
}


class TarFault(Exception):
    """An archive cannot be read on; the text says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """What an archive's next header says: name without a leading `./`, `start` of the header and `size`, in bytes.

    kind is "file", or says what else it is, such as "a symbolic link".
    """

    name: str
    start: int
    size: int
    kind: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.kind == "file"

    def refusal(self) -> str | None:
        """Why a member has no place below a folder, or None: its name leads out of it, or it is no plain file."""
        if self.name.startswith("/"):
            return "an absolute name in an archive"
        if ".." in self.name.split("/"):
            return "a name in an archive that leads out of it"
        return None if self.is_file else f"{self.kind} in an archive"


class TarReader:
    """An archive open for reading, only ever forward.

    Iterate `members`; between two of them `content` gives the bytes of the one before. Every method raises TarFault
    where the archive is cut short, damaged, or a bomb.
    """

    def __init__(self, path: str | bytes) -> None:
        """Open it; told by its first bytes whether it is compressed.

        Raises:
            OSError: it cannot be opened.
            TarFault: it is no regular file.
        """
        descriptor = os.open(path_bytes(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise TarFault("not a regular file")
        self._raw = open(descriptor, "rb")  # noqa: PTH123, SIM115 - closed by `close`
        compressed = self._raw.peek(2)[:2] == b"\x1f\x8b"
        self._file: gzip.GzipFile | IO[bytes] = gzip.GzipFile(fileobj=self._raw) if compressed else self._raw
        self._compressed = compressed
        #: Bytes of the unpacked archive that were read or passed over.
        self.position = 0
        self._left = self._padding = 0

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def __enter__(self) -> TarReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def members(self) -> Iterator[Member]:
        """Every member from here on to the end of the archive."""
        for _ in range(_MAX_MEMBERS):
            self._finish()
            member = self._next()
            if member is None:
                self._check_end()
                return
            yield member
        raise TarFault(f"more than {_MAX_MEMBERS} members")

    def content(self) -> Iterator[bytes]:
        """What is left of the member that was given last, in blocks of a mebibyte or less."""
        while self._left:
            block = self._take(min(self._left, _STEP))
            self._left -= len(block)
            yield block

    def skip_to(self, position: int) -> None:
        """Go forward to a byte of the unpacked archive, which must be where a header starts."""
        if position < self.position:
            raise ValueError(f"at byte {self.position} already, {position} is behind")
        self._left = self._padding = 0
        self._pass(position - self.position)

    def _finish(self) -> None:
        """Pass over what is left of a member."""
        self._pass(self._left + self._padding)
        self._left = self._padding = 0

    def _pass(self, count: int) -> None:
        if not self._compressed and count > _STEP:
            size = os.fstat(self._raw.fileno()).st_size
            if self.position + count > size:
                raise TarFault("the archive ends in the middle of a file")
            self._raw.seek(count, os.SEEK_CUR)
            self.position += count
            return
        while count:
            count -= len(self._take(min(count, _STEP)))

    def _check_end(self) -> None:
        """Read what follows the last member of a compressed archive: its checksum comes at the very end."""
        while self._compressed and self._read(_STEP):
            continue

    def _take(self, count: int) -> bytes:
        """Exactly so many bytes, a mebibyte at most."""
        block = self._read(count)
        if len(block) < count:
            raise TarFault("the archive ends in the middle of a file")
        return block

    def _read(self, count: int) -> bytes:
        """So many bytes, or fewer at the end."""
        parts = bytearray()
        try:
            while len(parts) < count and (part := self._file.read(count - len(parts))):
                parts += part
        except EOFError as error:
            raise TarFault("the archive is cut short") from error
        except (OSError, zlib.error) as error:
            raise TarFault(f"the archive is damaged: {error}") from error
        self.position += len(parts)
        if self._compressed and self.position > _FREE_BYTES + _MAX_EXPANSION * self._raw.tell():
            raise TarFault(f"the archive unpacks to more than {_MAX_EXPANSION} times its size; given up")
        return bytes(parts)

    def _next(self) -> Member | None:
        """The next member, its extensions applied; None at the end."""
        start, name, size = self.position, None, None
        sparse = False
        while header := self._header():
            kind = header[156:157]
            stated = _number(header[124:136])
            if kind == _LONG_NAME:
                name = self._extension(stated).split(b"\0", 1)[0]
            elif kind in _PAX:
                records = _pax_records(self._extension(stated))
                name = records.get(b"path", name)
                size = _decimal(records[b"size"]) if b"size" in records else size
                sparse = any(key.startswith(b"GNU.sparse") for key in records)
            elif kind in _IGNORED:
                self._extension(stated)
            else:
                return self._member(start, header, name, stated if size is None else size, sparse)
        return None

    def _member(self, start: int, header: bytes, name: bytes | None, size: int, sparse: bool) -> Member:
        plain = _plain_name(_header_name(header) if name is None else name)
        kind = header[156:157]
        told = _OTHERS.get(kind) or ("file" if kind in (b"0", b"\0", b"7") else "an entry of no known kind")
        if kind == b"\0" and (_header_name(header) if name is None else name).endswith(b"/"):
            told = "a folder"
        if sparse:
            told = "a sparse file"
        self._left = 0 if kind in _OTHERS else size
        self._padding = -self._left % _BLOCK
        return Member(plain, start, size if told == "file" else 0, told)

    def _header(self) -> bytes:
        """The next header, checked; empty at the end of the archive."""
        block = self._read(_BLOCK)
        if not block or not any(block):
            return b""
        if len(block) < _BLOCK:
            raise TarFault("the archive is cut short")
        stated = block[148:156].strip(b" \0")
        if stated.lstrip(b"0") != b"%o" % (sum(block) - sum(block[148:156]) + 8 * ord(" ")):
            raise TarFault(
                "not a tar archive" if self.position == _BLOCK else "the archive is damaged: a bad header"
            )
        return block

    def _extension(self, size: int) -> bytes:
        if size > _MAX_EXTENSION:
            raise TarFault(f"a header's extension of {size} bytes; {_MAX_EXTENSION} are allowed")
        return self._take(size + -size % _BLOCK)[:size]


def _header_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _plain_name(name: bytes) -> str:
    """A name as text, undecodable bytes kept, without what says nothing: `./`, doubled and closing slashes."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    return os.fsdecode((b"/" if name.startswith(b"/") else b"") + b"/".join(parts))


def _number(digits: bytes) -> int:
    """A header's number: octal digits, or binary where the first bit is set. Raises TarFault."""
    if digits[:1] >= b"\x80":
        if digits[0] != 0x80:
            raise TarFault("the archive is damaged: a negative size")
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b" \0") or b"0"
    if not all(byte in b"01234567" for byte in text):
        raise TarFault("the archive is damaged: a size that is no number")
    return int(text, 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise TarFault("the archive is damaged: a size that is no number")
    return int(digits)


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records `<length> <key>=<value>\\n` of a pax header. Raises TarFault."""
    records: dict[bytes, bytes] = {}
    while data:
        length, _, _ = data[:20].partition(b" ")
        size = _decimal(length)
        record = data[len(length) + 1 : size]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or size > len(data):
            raise TarFault("the archive is damaged: a bad pax header")
        records[key] = value[:-1]
        data = data[size:]
    return records
