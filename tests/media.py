"""Media for the tests, made in code and described by the facts that a correct reader must find in them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

#: Time base of every clip's encoder and container: fine enough for any frame rate used here.
TICKS = 90_000
#: Bits of the frame number drawn into each frame.
NUMBER_BITS = 10

Painter = Callable[[int, int, int], np.ndarray]


@dataclass(frozen=True)
class Clip:
    """A file made here, and what is true of it.

    width and height are of the upright frame. pts holds the presentation times in seconds, in order;
    for a damaged file, of the frames that went in. rotation is the clockwise turn in degrees that shows it
    upright. status is the one that decoding all of it must end with. faces counts faces in every frame.
    """

    path: Path
    width: int = 0
    height: int = 0
    pts: tuple[float, ...] = ()
    rotation: int = 0
    duration: float = 0.0
    codec: str = ""
    pixel_format: str = ""
    faces: int = 0
    status: str = "ok"

    @property
    def frames(self) -> int:
        """How many frames went in."""
        return len(self.pts)


# ---------------------------------------------------------------- what is drawn


def numbered(index: int, width: int, height: int) -> np.ndarray:
    """A colourful upright frame that carries its own number; see `read_number`.

    The number stands in black and white cells along the top, the lowest bit first, behind a white cell; a red
    square marks the lower left corner, so that every turn and mirror image is told apart.
    """
    y, x = np.mgrid[0:height, 0:width]
    frame = np.empty((height, width, 3), np.uint8)
    frame[..., 0] = 40 + 150 * x // max(width - 1, 1)
    frame[..., 1] = 60 + 120 * y // max(height - 1, 1)
    frame[..., 2] = 90 + (7 * index) % 90
    cell = width / (NUMBER_BITS + 1)
    rows = max(height // 6, 1)
    bits = [1] + [(index >> bit) & 1 for bit in range(NUMBER_BITS)]
    for k, bit in enumerate(bits):
        frame[:rows, round(k * cell) : round((k + 1) * cell)] = 235 if bit else 16
    frame[height - rows :, : max(width // 6, 1)] = (220, 30, 30)
    return frame


def read_number(rgb: np.ndarray) -> int:
    """The number that `numbered` drew; -1 where the frame is not upright or not one of them."""
    height, width = rgb.shape[:2]
    cell = width / (NUMBER_BITS + 1)
    rows = max(height // 6, 1)
    corner = rgb[height - rows + rows // 3 :, : max(width // 8, 1)].reshape(-1, 3).mean(0)
    band = rgb[rows // 4 : max(rows // 2, rows // 4 + 1)].mean(axis=(0, 2))
    levels = [band[int((k + 0.3) * cell) : max(int((k + 0.7) * cell), int((k + 0.3) * cell) + 1)].mean()
              for k in range(NUMBER_BITS + 1)]  # fmt: skip
    if levels[0] < 150 or corner[0] < 140 or corner[1] > 110:
        return -1
    return sum(1 << bit for bit, level in enumerate(levels[1:]) if level > 128)


def noise(index: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """A frame of smoothed random colour without a face, of the same size as asked for."""
    coarse = np.random.default_rng((seed, index)).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
    return coarse.repeat(16, 0).repeat(16, 1)[:height, :width].astype(np.uint8)


@cache
def _astronaut() -> np.ndarray:
    from skimage import data

    photograph: np.ndarray = data.astronaut()
    return photograph


def face_painter(size: tuple[int, int], faces: int, frames: int, seed: int = 0) -> Painter:
    """Paints `faces` copies of the astronaut's head side by side, each drifting slowly, never overlapping.

    Odd copies are mirrored and a little darker, so that tracks can be told apart.
    """
    import cv2

    width, height = size
    head = _astronaut()[0:260, 100:360]
    slot = width // max(faces, 1)
    side = min(slot * 9 // 10, height * 9 // 10)
    patch = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA if side < 260 else cv2.INTER_LINEAR)
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 2 * np.pi, max(faces, 1))
    background = cv2.GaussianBlur(noise(0, width, height, seed), (0, 0), 12) // 2 + 60

    def paint(index: int, _width: int, _height: int) -> np.ndarray:
        frame = background.copy()
        for k in range(faces):
            turn = phase[k] + 2 * np.pi * index / max(frames, 1)
            x = k * slot + (slot - side) / 2 * (1 + 0.9 * np.cos(turn))
            y = (height - side) / 2 * (1 + 0.9 * np.sin(turn))
            copy = (patch[:, ::-1] * 0.85).astype(np.uint8) if k % 2 else patch
            frame[round(y) : round(y) + side, round(x) : round(x) + side] = copy
        return frame

    return paint


# ---------------------------------------------------------------- clips


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (192, 128),
    frames: int = 30,
    fps: float = 25.0,
    times: Sequence[float] | None = None,
    start: float = 0.0,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    gop: int = 12,
    b_frames: int = 0,
    paint: Painter = numbered,
    options: dict[str, str] | None = None,
    colour: tuple[int, int] | None = None,
    faces: int = 0,
) -> Clip:
    """Write a clip of `size` upright pixels whose frame k is paint(k, width, height) at times[k] seconds.

    Without times, frame k is shown at start + k / fps. rotation is 0, 90, 180 or 270 (mp4 and mov only): the
    stored grid is turned and the header says so. colour is (matrix, range) as FFmpeg numbers them.
    """
    width, height = size
    shown = tuple(times) if times is not None else tuple(start + k / fps for k in range(frames))
    stored = (height, width) if rotation in (90, 270) else (width, height)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(
            codec, rate=rate, options=_encoder_options(codec, gop, b_frames, options)
        )
        stream.width, stream.height, stream.pix_fmt = *stored, pixel_format
        stream.codec_context.time_base = Fraction(1, TICKS) if codec in _FINE_TIME else 1 / rate
        stream.codec_context.gop_size = gop
        stream.codec_context.thread_count = 1
        if colour is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = colour
        ticks = stream.codec_context.time_base
        pictures = (np.rot90(paint(k, width, height), rotation // 90) for k in range(len(shown)))
        for picture, seconds in zip(pictures, shown, strict=True):
            frame = _frame(picture, pixel_format, colour)
            frame.pts, frame.time_base = round(Fraction(seconds) / ticks), ticks
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation:
        _turn(path, rotation)
    step = shown[-1] - shown[-2] if len(shown) > 1 else 1 / fps
    return Clip(path, width, height, shown, rotation, shown[-1] - shown[0] + step, codec, pixel_format, faces)


_FINE_TIME = frozenset({"libx264", "libx265", "libvpx-vp9", "ffv1"})


def _encoder_options(codec: str, gop: int, b_frames: int, extra: dict[str, str] | None) -> dict[str, str]:
    options = {"g": str(gop), "bf": str(b_frames)}
    if codec == "libx264":
        options |= {"preset": "ultrafast", "crf": "16", "sc_threshold": "0"}
        if b_frames:
            options |= {"preset": "veryfast", "x264-params": f"b-adapt=0:bframes={b_frames}:b-pyramid=none"}
    elif codec == "libx265":
        options |= {"preset": "ultrafast", "x265-params": "log-level=none"}
    elif codec in ("mpeg4", "mpeg1video", "mpeg2video", "flv"):
        options |= {"q": "2", "qmin": "2", "qmax": "3"}
    return options | (extra or {})


def _frame(picture: np.ndarray, pixel_format: str, colour: tuple[int, int] | None) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    if colour is None:
        return frame.reformat(format=pixel_format)
    matrix, colour_range = colour
    converted = frame.reformat(
        format=pixel_format, dst_colorspace=matrix, src_color_range=2, dst_color_range=colour_range
    )
    converted.colorspace, converted.color_range = matrix, colour_range
    return converted


def _turn(path: Path, rotation: int) -> None:
    """Write the display matrix of a clockwise turn into the first track header of an mp4 or mov."""
    one = 1 << 16
    a, b, c, d = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[rotation]
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4
    matrix = at + (40 if content[at] == 0 else 52)
    content[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def make_face_clip(
    path: Path,
    seconds: float = 1.0,
    size: tuple[int, int] = (320, 240),
    fps: float = 25.0,
    faces: int = 1,
    seed: int = 0,
    rotation: int = 0,
    paint: Painter | None = None,
) -> Clip:
    """A clip of scikit-image's astronaut, `faces` times side by side and moving; rough enough to be detected.

    paint(index, width, height) -> RGB may replace the picture; `face_painter` returns the one used here.
    """
    frames = max(round(seconds * fps), 1)
    painter = paint or face_painter(size, faces, frames, seed)
    return make_clip(
        path, size=size, frames=frames, fps=fps, paint=painter, rotation=rotation, gop=25, faces=faces
    )


def recompress(
    source: Path, target: Path, crf: int, skip: int = 0, size: tuple[int, int] | None = None
) -> Path:
    """The frames of a clip from `skip` on, at their times, as H.264 of a constant rate factor, in a size if asked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as clip, av.open(str(target), "w") as container:
        given = clip.streams.video[0]
        width, height = size or (given.width, given.height)
        options = {"crf": str(crf), "preset": "veryfast", "bf": "0"}
        stream = container.add_stream("libx264", rate=given.average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(clip.decode(given)):
            if number < skip:
                continue
            picture = frame.reformat(width, height, "yuv420p")
            picture.pict_type = av.video.frame.PictureType.NONE
            picture.pts = round(Fraction(frame.pts) * frame.time_base * TICKS)
            picture.time_base = Fraction(1, TICKS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return target


def make_noise_clip(path: Path, frames: int = 10, size: tuple[int, int] = (320, 240), seed: int = 0) -> Clip:
    """A clip without any face."""

    def paint(index: int, width: int, height: int) -> np.ndarray:
        return noise(index, width, height, seed)

    return make_clip(path, size=size, frames=frames, paint=paint)


def make_flat_clip(path: Path, level: int, frames: int = 10, size: tuple[int, int] = (320, 240)) -> Clip:
    """A clip of one grey level, 0 to 255."""
    picture = np.full((size[1], size[0], 3), level, np.uint8)
    return make_clip(path, frames=frames, size=size, paint=lambda index, width, height: picture)


def make_variable_rate(path: Path, **more: object) -> Clip:
    """Frames 40 ms apart, then a pause of 2 s, then 20 ms apart."""
    times = [k * 0.04 for k in range(10)] + [2.36 + k * 0.02 for k in range(10)]
    return make_clip(path, times=times, **more)  # type: ignore[arg-type]


def make_gif(path: Path, frames: int = 12, size: tuple[int, int] = (96, 64), fps: float = 10.0) -> Clip:
    """An animated GIF: its container does not say how long it lasts."""
    return make_clip(path, size=size, frames=frames, fps=fps, codec="gif", pixel_format="rgb8")


def make_audio_only(path: Path, seconds: float = 0.5) -> Clip:
    """A tone and no picture."""
    with av.open(str(path), "w") as container:
        _add_tone(container, seconds)
    return Clip(path, status="unsupported")


def make_cover_only(path: Path) -> Clip:
    """A tone with a still cover picture, as music files have; path ends with .m4a or .mp4."""
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(numbered(0, 64, 64), format="rgb24").reformat(format="yuvj420p")
        packets = [*cover.encode(frame), *cover.encode(None)]
        _add_tone(container, 0.5, packets)
    return Clip(path, status="unsupported")


def _add_tone(
    container: av.container.OutputContainer, seconds: float, first: Iterable[av.Packet] = ()
) -> None:
    stream = container.add_stream("aac", rate=8000, layout="mono")
    samples = np.sin(np.arange(int(8000 * seconds)) * 0.3).astype(np.float32)
    container.start_encoding()
    container.mux(list(first))
    for at in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, at
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


# ---------------------------------------------------------------- damaged files


def make_cut(path: Path, keep: float = 0.6, frames: int = 100) -> Clip:
    """A clip whose header is whole and whose last `1 - keep` of bytes are missing."""
    whole = make_clip(path, frames=frames, options={"movflags": ""}, gop=10)
    move_header_first(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return Clip(**{**whole.__dict__, "status": "partial"})


def move_header_first(path: Path) -> None:
    """Rewrite an mp4 with its index before its pictures, so that one cut short can be opened."""
    with av.open(str(path)) as source:
        packets = list(source.demux(source.streams.video[0]))
        front = path.with_name(path.stem + ".front" + path.suffix)
        with av.open(str(front), "w", options={"movflags": "+faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in packets:
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    front.replace(path)


def make_truncated_header(path: Path) -> Clip:
    """An mp4 that ends before its index, as a recording that was switched off."""
    make_clip(path, frames=20)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"moov") + 40])
    return Clip(path, status="unreadable")


def make_empty(path: Path) -> Clip:
    """A file of no bytes."""
    path.write_bytes(b"")
    return Clip(path, status="unreadable")


def make_text(path: Path) -> Clip:
    """Prose under whatever name."""
    path.write_text("This is no video, whatever its name says.\n" * 20)
    return Clip(path, status="unsupported")


def make_random(path: Path, count: int = 5000, seed: int = 0) -> Clip:
    """Bytes that mean nothing."""
    path.write_bytes(b"\xf1" + np.random.default_rng(seed).bytes(count))
    return Clip(path, status="unsupported")


# ---------------------------------------------------------------- sets of clips


def healthy_clips(folder: Path) -> dict[str, Clip]:
    """One clip per way in which sound files differ; every decoder reads every one of them."""
    clips = {
        "plain": make_clip(folder / "plain.mp4"),
        "variable_rate": make_variable_rate(folder / "variable.mp4"),
        "odd_size": make_clip(folder / "odd.mp4", size=(97, 75), pixel_format="yuv444p", frames=8),
        "one_frame": make_clip(folder / "one.mp4", frames=1),
        "b_frames": make_clip(folder / "b.mp4", b_frames=2, frames=24),
        "b_frames_offset": make_clip(folder / "offset.mkv", b_frames=2, frames=24, start=2.5),
        "ten_bit": make_clip(folder / "ten.mp4", pixel_format="yuv420p10le", frames=8),
        "mpeg4": make_clip(folder / "mpeg4.avi", codec="mpeg4", frames=10),
    }
    for rotation in (90, 180, 270):
        name = f"rotated_{rotation}"
        clips[name] = make_clip(folder / f"{name}.mp4", rotation=rotation, frames=6)
    return clips


def damaged_files(folder: Path) -> dict[str, Clip]:
    """One file per way of being no whole video, each with the status it must get."""
    return {
        "zero_bytes": make_empty(folder / "zero.mp4"),
        "text": make_text(folder / "text.mp4"),
        "random": make_random(folder / "random.mp4"),
        "truncated_header": make_truncated_header(folder / "moov.mp4"),
        "cut": make_cut(folder / "cut.mp4"),
        "audio_only": make_audio_only(folder / "audio.mp4"),
        "cover_only": make_cover_only(folder / "cover.m4a"),
    }
