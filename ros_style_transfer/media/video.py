"""Videos, webcams and animated pictures as frames: uint8, ``[height, width, 3]``, RGB.  Sound is neither read nor
written.  No TensorFlow, no ROS."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tempfile
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple, Type

import cv2
import numpy as np

from ..errors import ImageError
from . import decoding, images

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Every build of OpenCV with FFmpeg encodes these; few encode H.264.
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
# Read as videos without looking at their content.
EXTENSIONS = (
    *CODECS,
    *(".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp"),
    *(".mts", ".m2ts", ".m2t", ".vob", ".mxf", ".asf", ".f4v", ".3g2", ".divx", ".y4m"),
)
ANIMATIONS = ("GIF", "PNG", "WEBP")  # formats of pictures that may have several frames in time

DEFAULT_FPS = 25.0
LOSSLESS_CODEC = "FFV1"  # for .mkv
MAX_FPS = 1000.0
MAX_DAMAGED = 250  # damaged frames in a row, after which a file is taken to end


def is_video(path: str) -> bool:
    """Whether the file at ``path`` is a video: by its extension, or by its content if the extension is unknown."""
    if has_extension(path):
        return True
    extension = _extension(path)
    if extension in (*images.EXTENSIONS, ".csv", ".bag") or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file, decoding.opened(file, path):
            return False  # a picture
    except (ImageError, OSError):
        pass
    with _utf8_path(path) as readable:
        capture = cv2.VideoCapture(readable)
        opens = bool(capture.isOpened()) and bool(capture.read()[0])
        capture.release()
    return opens


def has_extension(path: str) -> bool:
    """Whether the extension of ``path`` is a video's."""
    return _extension(path) in EXTENSIONS


def is_animation(path: str) -> bool:
    """Whether the picture at ``path`` has several frames in time: an animated GIF, PNG or WebP."""
    try:
        with open(path, "rb") as file, decoding.opened(file, path) as image:
            return image.format in ANIMATIONS and bool(getattr(image, "is_animated", False))
    except (ImageError, OSError):
        return False


def webcam_number(source: Any) -> Optional[int]:
    """The number of the webcam that ``source`` names (``0``, ``/dev/video0`` or a link to it); None for a file."""
    source = str(source)
    match = re.fullmatch(r"(?:/dev/video)?(\d+)", os.path.realpath(source) if source.startswith("/dev/") else source)
    return int(match.group(1)) if match else None


def check_extension(path: str) -> None:
    """Raise `ImageError` unless the extension of ``path`` names a format that `Writer` knows."""
    if _extension(path) not in CODECS:
        raise ImageError(
            "cannot write %s: the name of a video must end in one of %s, with something before it"
            % (path, ", ".join(CODECS))
        )


def check_encodable(path: str, width: int, height: int, fps: float) -> None:
    """Raise `ImageError` unless `Writer` can write frames of this size and rate to a file like ``path``."""
    with tempfile.TemporaryDirectory() as folder:
        _open_encoder(os.path.join(folder, "test" + _extension(path)), path, width, height, fps).release()


def writable_fps(fps: float) -> float:
    """``fps`` as precisely as a video can store it: OpenCV writes a decimal fraction, and MPEG-4 has 16 bits for its
    numerator."""
    return next((round(fps * base) / base for base in (1000, 100, 10) if fps * base < 65535), fps)


def _extension(path: str) -> str:
    return os.path.splitext(str(path))[1].lower()


@contextlib.contextmanager
def _utf8_path(path: str) -> Iterator[str]:
    """A path to the file ``path`` that is UTF-8, as OpenCV needs it: a link if its own is not."""
    path = os.path.abspath(path)  # FFmpeg takes what precedes a colon for a protocol
    try:
        path.encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            extension = _extension(path)
            link = os.path.join(folder, "video" + (extension if extension.isascii() else ""))
            os.symlink(path, link)
            yield link
    else:
        yield path


class Reader:
    """The frames of a video file, an animated picture or a webcam, one by one, upright, each RGB uint8 ``[h,w,3]``.

    A context manager and an iterator.  A file ends at its end, or where nothing more can be decoded; a webcam ends when
    it is unplugged.  A damaged frame within a file is replaced by the one before it.

    Args:
        source: a file's path, or a webcam as `webcam_number` knows it.

    Attributes:
        size: ``(width, height)`` of the first frame.
        fps: frames per second; `DEFAULT_FPS` if the source has no sensible value.
        count: the number of frames according to the file; None for a webcam, or if the file does not tell.
        damaged: the number of damaged frames so far.

    Raises:
        ImageError: there is no such file or webcam, it cannot be read, or it has no frame.
    """

    def __init__(self, source: Any) -> None:
        number = webcam_number(source)
        self._frames = _Animation(source) if number is None and is_animation(source) else _Capture(source, number)
        self._next = self._frames.read()  # only a frame proves that the source can be read
        if self._next is None:
            self.close()
            raise ImageError("%s has no frame that can be read" % source)
        self.size = self._next.shape[1::-1]
        self.fps, self.count = self._frames.fps, self._frames.count
        self.damaged = 0
        self._number = 0  # of the next frame
        self._pending: List[NDArray[np.uint8]] = []
        self._last = self._next

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> NDArray[np.uint8]:
        if self._pending:
            frame = self._pending.pop(0)
        elif self._next is not None:
            frame, self._next = self._next, None
        else:
            frame = self._read()
        self._number += 1
        self._last = frame
        return frame

    def _read(self) -> NDArray[np.uint8]:
        frame, missing = self._frames.read(), 0
        while frame is None:  # at the end, or a damaged frame
            missing += 1
            if self.count is None or self._number + missing >= self.count or missing > MAX_DAMAGED:
                raise StopIteration
            frame = self._frames.read()
        if not missing:
            return frame
        self.damaged += missing
        self._pending = [self._last] * (missing - 1) + [frame]
        return self._last

    def close(self) -> None:
        """Release the file or the webcam."""
        self._frames.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Capture:
    """A video file or a webcam by OpenCV."""

    def __init__(self, source: Any, number: Optional[int]) -> None:
        self._capture = _open_file(source) if number is None else _open_webcam(number)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= MAX_FPS else DEFAULT_FPS  # files without a rate say 0, NaN or 90000
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if number is None and 0 < count < 1e9 else None

    def read(self) -> Optional[NDArray[np.uint8]]:
        """The next frame; None at the end, or if it is damaged."""
        # OpenCV turns frames as the file says (CAP_PROP_ORIENTATION_AUTO is on) and converts grey to BGR.
        done, bgr = self._capture.read()
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) if done else None

    def close(self) -> None:
        self._capture.release()


class _Animation:
    """An animated picture by Pillow, on white, at a constant rate: frames that last longer are repeated."""

    def __init__(self, path: str) -> None:
        self._path, self._stack, self._repeated = path, contextlib.ExitStack(), 0
        file = self._stack.enter_context(open(path, "rb"))
        self._image = self._stack.enter_context(decoding.opened(file, path))
        with decoding.errors(path):
            times = [max(10.0, self._duration(n)) for n in range(getattr(self._image, "n_frames", 1))]
        self.fps = min(MAX_FPS, 1000.0 / min(times))
        repeats = [max(1, round(time * self.fps / 1000)) for time in times]
        self.count = sum(repeats)
        self._numbers = itertools.chain.from_iterable([n] * times for n, times in enumerate(repeats))

    def _duration(self, number: int) -> float:
        """Milliseconds that a frame lasts."""
        self._image.seek(number)
        self._image.load()  # WebP tells it afterwards
        return float(self._image.info.get("duration") or 1000 / DEFAULT_FPS)

    def read(self) -> Optional[NDArray[np.uint8]]:
        """The next frame; None at the end."""
        number = next(self._numbers, None)
        if number is None:
            return None
        with decoding.errors(self._path):
            self._image.seek(number)
            return images.on_white(self._image)

    def close(self) -> None:
        self._stack.close()


def _open_file(path: str) -> Any:
    if not os.path.isfile(path):
        raise ImageError("no such video: %s" % path)
    with _utf8_path(path) as readable:
        capture = cv2.VideoCapture(readable)
    if not capture.isOpened():
        raise ImageError("cannot read the video %s: it is damaged, or in no format that OpenCV knows" % path)
    return capture


def _open_webcam(number: int) -> Any:
    device = "/dev/video%d" % number
    if not os.path.exists(device):
        raise ImageError(
            "no webcam %d: there is no %s; `ls /dev/video*` lists those that are connected; "
            "to read a file of this name, put ./ before it" % (number, device)
        )
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise ImageError(
            "cannot open the webcam %s: it is in use, not a camera, or you may not read it "
            "(are you in the group `video`?)" % device
        )
    return capture


class Writer:
    """Writes frames, RGB uint8 ``[h,w,3]``, into a video without sound.

    A context manager.  The file grows next to ``path`` as ``NAME.partial.EXTENSION`` and replaces ``path`` when the
    ``with`` ends, also by a `KeyboardInterrupt`: then it is a shorter video.  Any other exception leaves nothing.
    Without a frame there is no file.

    The first frame sets the size.  Codecs want even sides, so the last row or column of an odd one is repeated.

    Args:
        path: its extension chooses the format, see `CODECS`.
        fps: frames per second; rounded, see `writable_fps`.
        codec: None: the usual one of the format.

    Raises:
        ImageError: the extension is unknown, a frame is not a picture or not of the first one's size, or the file
            cannot be written completely.
    """

    def __init__(self, path: str, fps: float, codec: Optional[str] = None) -> None:
        check_extension(path)
        self._path, self._fps, self._codec = os.path.abspath(path), fps, codec
        self._partial = "%s.partial%s" % os.path.splitext(self._path)
        self._writer: Any = None
        self._shape: Tuple[int, ...] = ()

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append the frame ``rgb``."""
        images.check(rgb)
        if self._writer is None:
            self._writer, self._shape = self._open(rgb), rgb.shape
        if rgb.shape != self._shape:  # OpenCV would drop it silently
            raise ImageError(
                "a frame of %dx%d does not fit into the video %s of %dx%d"
                % (*rgb.shape[1::-1], self._path, *self._shape[1::-1])
            )
        self._writer.write(cv2.cvtColor(_even(rgb), cv2.COLOR_RGB2BGR))

    def _open(self, rgb: NDArray[np.uint8]) -> Any:
        height, width = _even(rgb).shape[:2]
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            open(self._partial, "wb").close()  # tells why it cannot be written, which OpenCV does not
        except (OSError, ValueError) as error:
            raise ImageError("cannot write %s: %s" % (self._path, error)) from None
        try:
            return _open_encoder(self._partial, self._path, width, height, self._fps, self._codec)
        except ImageError:
            os.remove(self._partial)
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], _: Any, __: Optional[TracebackType]) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            os.remove(self._partial)
        elif not _is_complete(self._partial):
            os.remove(self._partial)
            raise ImageError("cannot write %s: the file is incomplete; is the disk full?" % self._path)
        else:
            os.replace(self._partial, self._path)


def _open_encoder(file: str, path: str, width: int, height: int, fps: float, codec: Optional[str] = None) -> Any:
    """The OpenCV writer for ``file``; ``path`` is the name in the error message."""
    codec = codec or CODECS[_extension(path)]
    size = (width + width % 2, height + height % 2)
    with _utf8_path(file) as writable:
        writer = cv2.VideoWriter(writable, _fourcc(codec), writable_fps(fps), size)
    if not writer.isOpened():
        raise ImageError(
            "cannot write %s: OpenCV cannot encode %s with %dx%d at %g frames per second; try .avi, or a smaller size"
            % (path, codec, *size, fps)
        )
    return writer


def _fourcc(codec: str) -> int:
    return int(cv2.VideoWriter_fourcc(*codec))  # type: ignore[attr-defined]  # missing in OpenCV's type hints


def _even(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``rgb`` with its last row, column or both repeated if their number is odd."""
    height, width = rgb.shape[:2]
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge") if height % 2 or width % 2 else rgb


def _is_complete(path: str) -> bool:
    """Whether a finished file knows its number of frames: formats write that last, and OpenCV reports no error if they
    cannot."""
    try:
        with Reader(path) as reader:
            return reader.count is not None
    except ImageError:
        return False
