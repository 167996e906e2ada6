"""What kind of file a name and its first bytes promise: media, a companion of media, or unknown."""

from __future__ import annotations

from pathlib import PurePath


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIDEO_SUFFIXES = _words(
    ".3gp .asf .avi .divx .dv .flv .gif .h264 .h265 .hevc .ivf .m1v .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4"
    " .mpe .mpeg .mpg .mts .mxf .obu .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m"
)
IMAGE_SUFFIXES = _words(".avif .bmp .heic .heif .jfif .jpe .jpeg .jpg .jxl .png .tif .tiff .webp")

#: Files that commonly lie beside media. Archives are not among them: they may hold media, so they get a row.
COMPANION_SUFFIXES = _words(
    ".ass .bib .cfg .conf .css .csv .doc .docx .h5 .hdf5 .htm .html .idx .ini .ipynb .js .json .jsonl .lock .log"
    " .mat .md .md5 .nfo .npy .npz .parquet .pdf .pkl .pt .pth .py .rst .rtf .safetensors .sh .sha1 .sha256 .srt"
    " .ssa .sub .toml .tsv .txt .url .vtt .xls .xlsx .xml .yaml .yml"
)
COMPANION_NAMES = _words(
    "license licence notice readme authors changelog makefile md5sums sha256sums thumbs.db"
)

#: How files begin: offset, bytes. Weak two-byte marks (BMP, MPEG-TS) are left to the suffix.
MEDIA_MARKS: tuple[tuple[int, bytes], ...] = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"wide", b"styp", b"sidx")),
    (0, b"\x1aE\xdf\xa3"),
    (8, b"AVI "),
    (8, b"WEBP"),
    (8, b"WAVE"),
    (0, b"OggS"),
    (0, b"FLV\x01"),
    (0, b"\x00\x00\x01\xba"),
    (0, b"\x00\x00\x01\xb3"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"GIF8"),
    (0, b"II*\x00"),
    (0, b"MM\x00*"),
    (0, b".RMF"),
    (0, b"DKIF"),
    (0, b"YUV4MPEG2"),
    (0, b"fLaC"),
    (0, b"\x06\x0e\x2b\x34"),
)
HEAD_BYTES = 16


def looks_like_media(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` bytes of a file are those of a video, image or audio container."""
    return any(head.startswith(mark, offset) for offset, mark in MEDIA_MARKS)


def companion_kind(name: str) -> str | None:
    """The lower-case suffix (or name) under which a companion is counted; None for what may be an input."""
    suffix = PurePath(name).suffix.lower()
    if suffix in COMPANION_SUFFIXES:
        return suffix
    return name.lower() if name.lower() in COMPANION_NAMES else None
