"""Videos and webcams as frames: uint8, ``[height, width, 3]``, RGB.  Sound is neither read nor
written.  No TensorFlow, no ROS."""

import os
import re

import cv2
import numpy as np

from ..errors import ImageError
from . import images

# What every build of OpenCV with FFmpeg encodes; H.264 is in few.
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
EXTENSIONS = (*CODECS, ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp")  # these are read

DEFAULT_FPS = 25.0


def is_video(path):
    """Whether the ending of ``path`` is a video's."""
    return _extension(path) in EXTENSIONS


def webcam_number(source):
    """The number of the webcam that ``source`` names (``0``, ``/dev/video0`` or a link to it); None for a file."""
    source = str(source)
    found = re.fullmatch(r"(?:/dev/video)?(\d+)", os.path.realpath(source) if source.startswith("/dev/") else source)
    return int(found.group(1)) if found else None


def check_extension(path):
    """Raise `ImageError` unless the ending of ``path`` names a format that we write."""
    if _extension(path) not in CODECS:
        raise ImageError("cannot write %s: a video's name must end in one of %s" % (path, ", ".join(CODECS)))


def _extension(path):
    return os.path.splitext(str(path))[1].lower()


class Reader:
    """The frames of a video file or a webcam, one by one, upright, each RGB uint8 ``[h,w,3]``.

    A context manager and an iterator.  A file ends where it ends or cannot be decoded any further,
    a webcam when it is unplugged.

    Args:
        source: a file's path, or a webcam as `webcam_number` knows it.

    Attributes:
        size: ``(width, height)`` of the first frame.
        fps: frames a second; `DEFAULT_FPS` where the source says nothing sensible.
        count: how many frames the file says it has; None for a webcam, or if it does not say.

    Raises:
        ImageError: there is no such file or webcam, it cannot be read, or it has no frame.
    """

    def __init__(self, source):
        number = webcam_number(source)
        self._capture = _open_file(source) if number is None else _open_webcam(number)
        self._ahead = self._read()  # only a frame proves that there is something to read
        if self._ahead is None:
            self.close()
            raise ImageError("%s has no frame that can be read" % source)
        self.size = self._ahead.shape[1::-1]
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else DEFAULT_FPS  # a file that does not know says 0, NaN or 90000
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if number is None and count > 0 else None

    def __iter__(self):
        return self

    def __next__(self):
        frame, self._ahead = self._ahead, None
        if frame is None:
            frame = self._read()
        if frame is None:
            raise StopIteration
        return frame

    def _read(self):
        # OpenCV turns frames as the file says (CAP_PROP_ORIENTATION_AUTO is on) and makes grey BGR.
        done, bgr = self._capture.read()
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) if done else None

    def close(self):
        """Let the file or the webcam go."""
        self._capture.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _open_file(path):
    if not os.path.isfile(path):
        raise ImageError("no such video: %s" % path)
    capture = cv2.VideoCapture(os.path.abspath(path))  # FFmpeg takes what stands before a colon for a protocol
    if not capture.isOpened():
        raise ImageError("cannot read the video %s: it is damaged, or of no kind that OpenCV knows" % path)
    return capture


def _open_webcam(number):
    device = "/dev/video%d" % number
    if not os.path.exists(device):
        raise ImageError(
            "no webcam %d: there is no %s; `ls /dev/video*` shows those that are plugged in; "
            "to read a file of this name, put ./ before it" % (number, device)
        )
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise ImageError(
            "cannot open the webcam %s: it is in use, not a camera, or not yours to read "
            "(are you in the group `video`?)" % device
        )
    return capture


class Writer:
    """Writes frames, RGB uint8 ``[h,w,3]``, into a video without sound.

    A context manager.  The file grows beside ``path`` as ``NAME.partial.ENDING`` and takes its name,
    replacing what had it, when the ``with`` ends, also when Ctrl-C ends it: then it is a shorter
    video.  Any other exception leaves nothing.  Without a frame there is no file.

    The first frame sets the size.  Codecs want even sides: to an odd one the last row or column is
    added once more.

    Args:
        path: its extension chooses the format, see `CODECS`.
        fps: frames a second.

    Raises:
        ImageError: the ending is unknown, a frame is no picture or of another size than the first,
            the file cannot be written or did not become whole.
    """

    def __init__(self, path, fps):
        check_extension(path)
        self._path, self._fps = os.path.abspath(path), fps
        self._partial = "%s.partial%s" % os.path.splitext(self._path)
        self._writer = self._shape = None

    def write(self, rgb):
        """Append the frame ``rgb``."""
        images.check(rgb)
        if self._writer is None:
            self._writer, self._shape = self._open(rgb), rgb.shape
        if rgb.shape != self._shape:  # OpenCV would leave it out without a word
            raise ImageError(
                "a frame of %dx%d does not fit into the video %s of %dx%d"
                % (*rgb.shape[1::-1], self._path, *self._shape[1::-1])
            )
        self._writer.write(cv2.cvtColor(_even(rgb), cv2.COLOR_RGB2BGR))

    def _open(self, rgb):
        height, width = _even(rgb).shape[:2]
        codec = CODECS[_extension(self._path)]
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            open(self._partial, "wb").close()  # says why it cannot be written, which OpenCV does not
        except OSError as error:
            raise ImageError("cannot write %s: %s" % (self._path, error)) from None
        writer = cv2.VideoWriter(self._partial, cv2.VideoWriter_fourcc(*codec), self._fps, (width, height))
        if not writer.isOpened():
            os.remove(self._partial)
            raise ImageError(
                "cannot write %s: OpenCV cannot encode %s with %dx%d at %g frames a second; try .avi, "
                "or a smaller size" % (self._path, codec, width, height, self._fps)
            )
        return writer

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self._writer is None:
            return
        self._writer.release()
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            os.remove(self._partial)
        elif not _is_whole(self._partial):
            os.remove(self._partial)
            raise ImageError("cannot write %s: the file broke off; is the disk full?" % self._path)
        else:
            os.replace(self._partial, self._path)


def _even(rgb):
    """``rgb`` with its last row, column or both repeated if there is an odd number of them."""
    height, width = rgb.shape[:2]
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge") if height % 2 or width % 2 else rgb


def _is_whole(path):
    """Whether a finished file says how many frames it has: formats write that last, and OpenCV reports no
    error if they cannot."""
    try:
        with Reader(path) as reader:
            return reader.count is not None
    except ImageError:
        return False
