"""Files that hold no picture of their own and name a local clip and a network address for a decoder to open instead.

Playlists and manifests as text, containers that say that their samples lie elsewhere, and sound media that carry such
text in them.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo


@dataclass(frozen=True)
class Lure:
    """Bytes that name other files; `suffix` is the one that such files usually have."""

    name: str
    suffix: str
    content: bytes

    def write(self, folder: Path, suffix: str | None = None) -> Path:
        """The file in this folder, under its own or another suffix."""
        path = folder / f"{self.name}{self.suffix if suffix is None else suffix}"
        path.write_bytes(self.content)
        return path


def all_lures(canary: Path, url: str) -> list[Lure]:
    """Every lure; each names the local clip by its full name, by its name in the same folder, and the address."""
    texts = [Lure(name, suffix, text.encode()) for name, suffix, text in _texts(canary, url)]
    return [*texts, *_containers(canary, url)]


# ---------------------------------------------------------------- text


def _texts(canary: Path, url: str) -> list[tuple[str, str, str]]:
    name, host = canary.name, url.split("/")[2]
    port = host.split(":")[1]
    hls = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n{0}#EXT-X-ENDLIST\n"
    segments = "".join(f"#EXTINF:9,\n{target}\n" for target in (name, f"file://{canary}", canary, url))
    streams = "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=9\n{target}\n" for target in (name, canary, url))
    coded = base64.b64encode(canary.read_bytes()).decode()
    return [
        ("hls", ".m3u8", hls.format(segments)),
        ("hls_of_network", ".m3u8", hls.format(f"#EXTINF:9,\n{url}\n")),
        ("hls_map_and_key", ".m3u8", hls.format(
            f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXT-X-MAP:URI="{canary}"\n{segments}')),
        ("hls_master", ".m3u8", f"#EXTM3U\n{streams}"),
        ("hls_behind_a_mark", ".m3u8", "\ufeff" + hls.format(segments)),
        ("m3u", ".m3u", f"{name}\n{canary}\n{url}\n"),
        ("pls", ".pls", f"[playlist]\nFile1={canary}\nFile2={url}\nNumberOfEntries=2\n"),
        ("xspf", ".xspf", '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>'
         f"<track><location>file://{canary}</location></track>"
         f"<track><location>{url}</location></track></trackList></playlist>"),
        ("asx", ".asx", f'<ASX version="3.0"><Entry><Ref href="{url}"/><Ref href="{canary}"/></Entry></ASX>'),
        ("asf_reference", ".asf", f"[Reference]\nRef1={url}\nRef2={canary}\n"),
        ("smil", ".smil", f'<smil><body><video src="{url}"/><video src="{canary}"/></body></smil>'),
        ("ram", ".ram", f"{url}\nrtsp://{host}/x\n"),
        ("ffconcat", ".ffconcat", f"ffconcat version 1.0\nfile {name}\nfile '{canary}'\nfile '{url}'\n"),
        ("ffconcat_of_network", ".ffconcat", f"ffconcat version 1.0\nfile '{url}'\n"),
        ("concat_bare", ".txt", f"file {name}\nfile '{canary}'\nfile '{url}'\n"),
        ("ffconcat_sequence", ".ffconcat", "ffconcat version 1.0\nfile canary%03d.png\noption loop 1\n"),
        ("dash", ".mpd", _dash(canary, url)),
        ("sdp", ".sdp", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:rtsp://{host}/x\n"
         f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
        ("image_sequence", ".txt", "canary%03d.png\n*.png\n"),
        ("concat_protocol", ".txt", f"concat:{canary}|{url}"),
        ("subfile_protocol", ".txt", f"subfile,,start,0,end,0,,:{canary}"),
        ("data_protocol", ".txt", f"data:video/mp4;base64,{coded}"),
        ("crypto_protocol", ".txt", f"crypto:{canary}"),
        ("http_protocol", ".txt", url),
        ("filter_graph", ".txt", f"movie={canary}[out0];amovie={url}"),
        ("avisynth", ".avs", f'AVISource("{canary}")'),
        ("vapoursynth", ".vpy", f"open({str(canary)!r}).read(); import urllib.request as u; u.urlopen({url!r})"),
        ("vobsub", ".idx", "# VobSub index file, v7 (do not modify this line!)\ntimestamp: 00:00:00:000, filepos: 0\n"),
        ("webvtt", ".vtt", f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\nNOTE {url}\n\n"
         f"00:00.000 --> 00:09.000\n<img src='{url}'>{canary}\n"),
        ("subrip", ".srt", f"1\n00:00:00,000 --> 00:00:09,000\n<img src='{url}'>{canary}\n"),
        ("svg", ".svg", f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/><image href="{canary}"/></svg>'),
        ("xml_entity", ".xml", f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file://{canary}">'
         f'<!ENTITY b SYSTEM "{url}">]><x>&a;&b;</x>'),
        ("imf", ".xml", '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
         f"<Id>{url}</Id></CompositionPlaylist>"),
        ("html", ".html", f'<html><video src="{url}"></video><video src="{canary}"></video></html>'),
        ("ffmetadata", ".ffmeta", f";FFMETADATA1\ntitle={url}\n"),
    ]  # fmt: skip


def _dash(canary: Path, url: str) -> str:
    representations = "".join(
        f'<AdaptationSet mimeType="video/mp4"><Representation id="{k}" bandwidth="9"><BaseURL>{target}</BaseURL>'
        "</Representation></AdaptationSet>"
        for k, target in enumerate((canary.name, f"file://{canary}", url))
    )
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        f"<Period>{representations}</Period></MPD>"
    )


# ---------------------------------------------------------------- containers that speak of other files


def box(name: bytes, *content: bytes) -> bytes:
    """A box of an mp4 or QuickTime file."""
    inside = b"".join(content)
    return struct.pack(">I", len(inside) + 8) + name + inside


def _containers(canary: Path, url: str) -> list[Lure]:
    targets = (canary.name, str(canary), f"file://{canary}", url)
    drefs = [box(b"url ", b"\0\0\0\0", target.encode() + b"\0") for target in targets]
    return [
        Lure("reference_movie", ".mov", _reference_movie(targets)),
        *(
            Lure(f"data_reference_{k}", ".mp4", _with_references(canary, dref))
            for k, dref in enumerate(drefs)
        ),
        Lure("data_reference_alias", ".mov", _with_references(canary, _alias(canary))),
        Lure("linked_segment", ".mkv", _linked_segment(canary.name)),
    ]


def _reference_movie(targets: tuple[str, ...]) -> bytes:
    """A QuickTime movie that consists of references to others."""
    references = [
        box(
            b"rmda",
            box(b"rdrf", b"\0\0\0\0url ", struct.pack(">I", len(target) + 1), target.encode() + b"\0"),
        )
        for target in targets
    ]
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", *references))


def _with_references(canary: Path, reference: bytes) -> bytes:
    """The clip's own header, whose samples are said to lie in another file; its own samples are gone.

    With the data reference obeyed, the clip's pictures come back.
    """
    content = canary.read_bytes()
    header = content[content.index(b"moov") - 4 :]
    references = box(b"dref", b"\0\0\0\0\0\0\0\1", reference)
    told = _replaced(header, [b"moov", b"trak", b"mdia", b"minf", b"dinf"], references)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + told


def _replaced(boxes: bytes, path: list[bytes], content: bytes) -> bytes:
    """Boxes, of which those on a path hold new content at its end."""
    made, at = [], 0
    while at + 8 <= len(boxes):
        size, name = struct.unpack_from(">I4s", boxes, at)
        inside = boxes[at + 8 : at + size]
        if name == path[0]:
            inside = _replaced(inside, path[1:], content) if path[1:] else content
        made.append(box(name, inside))
        at += size
    return b"".join(made)


def _alias(canary: Path) -> bytes:
    """A Macintosh alias record that names the clip by its full name and by its name in the same folder."""
    name, full = canary.name.encode(), str(canary).encode()
    tags = b""
    for kind, text in ((2, full), (18, full), (14, name)):
        tags += struct.pack(">hH", kind, len(text)) + text + b"\0" * (len(text) % 2)
    record = (
        b"\0" * 6 + b"\0\2" + b"\0\0" + bytes([1]) + b"V".ljust(27, b"\0") + b"\0" * 12
        + bytes([len(name)]) + name.ljust(63, b"\0") + b"\0" * 16 + struct.pack(">hh", 1, 1) + b"\0" * 16
        + tags + struct.pack(">hH", -1, 0)
    )  # fmt: skip
    return box(b"alis", b"\0\0\0\0", record)


def _element(name: bytes, content: bytes) -> bytes:
    """An element of a Matroska file; its size in eight bytes."""
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def _linked_segment(name: str) -> bytes:
    """A Matroska segment without tracks that says which file goes before and after it."""
    header = _element(b"\x1a\x45\xdf\xa3", _element(b"\x42\x82", b"matroska"))
    facts = (
        (b"\x2a\xd7\xb1", (1_000_000).to_bytes(4, "big")), (b"\x73\xa4", b"S" * 16), (b"\x3c\xb9\x23", b"P" * 16),
        (b"\x3c\x83\xab", name.encode()), (b"\x3e\xb9\x23", b"N" * 16), (b"\x3e\x83\xbb", name.encode()),
    )  # fmt: skip
    info = _element(b"\x15\x49\xa9\x66", b"".join(_element(*fact) for fact in facts))
    atom = _element(
        b"\xb6", _element(b"\x73\xc4", b"\1") + _element(b"\x91", b"\0") + _element(b"\x6e\x67", b"N" * 16)
    )
    chapters = _element(b"\x10\x43\xa7\x70", _element(b"\x45\xb9", atom))
    return header + _element(b"\x18\x53\x80\x67", info + chapters)


# ---------------------------------------------------------------- media that begin in two ways


def session_in_a_header(path: Path, flv: bytes, port: int) -> Path:
    """A sound FLV file whose header goes on as a session description, by which FFmpeg takes it for one.

    No byte before the text is zero, so that the first tag lies 16 MiB on, behind a hole.
    """
    offset = b"\1\1\1\1"
    with path.open("wb") as file:
        session = f"\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        file.write(b"FLV\1\5" + offset + session.encode())
        file.seek(int.from_bytes(offset, "big"))
        file.write(flv[9:])
    return path


def text_in_a_packet(path: Path, url: str) -> Path:
    """A sound transport stream behind one null packet that holds a session description and a DASH manifest as text."""
    port = url.split("/")[2].split(":")[1]
    text = f"\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n<MPD><BaseURL>{url}</BaseURL></MPD>\n".encode()
    path.write_bytes(b"\x47\x1f\xff\x1f" + text.ljust(184, b"\n") + path.read_bytes())
    return path


def picture_with_addresses(path: Path, canary: Path, url: str) -> Path:
    """A grey PNG whose text blocks name the clip and the address: as a colour profile, and as linked metadata."""
    facts = PngInfo()
    facts.add_itxt(
        "XML:com.adobe.xmp", f'<x:xmpmeta xmlns:x="adobe:ns:meta/" href="{url}">{canary}</x:xmpmeta>'
    )
    facts.add_text("ICC profile", url)
    Image.new("RGB", (96, 64), (128, 128, 128)).save(path, "PNG", pnginfo=facts, icc_profile=url.encode())
    return path
