"""Reading and writing videos: real files, and a webcam that is none."""

import os
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from ros_style_transfer.errors import ImageError
from ros_style_transfer.media import video

WIDTH, HEIGHT = 96, 64
CORNERS = np.array([[[220, 30, 30], [30, 200, 40]], [[40, 50, 210], [240, 240, 240]]], np.uint8)


def frame(number, width=WIDTH, height=HEIGHT):
    """Four colours, one in each quarter, and a bar that tells the number."""
    rgb = np.zeros((height, width, 3), np.uint8)
    middle_y, middle_x = height // 2, width // 2
    for y, rows in enumerate((slice(None, middle_y), slice(middle_y, None))):
        for x, columns in enumerate((slice(None, middle_x), slice(middle_x, None))):
            rgb[rows, columns] = CORNERS[y, x]
    rgb[middle_y - 4 : middle_y + 4, : 4 * number] = 0
    return rgb


def number_of(rgb):
    """The number that a frame's bar tells."""
    return int((rgb[rgb.shape[0] // 2].max(-1) < 20).sum() + 2) // 4


def corners_of(rgb):
    """The colours of a frame's four quarters, each from a place near its corner."""
    return rgb[[[6], [-6]], [6, -6]].astype(int)


def write(path, count=10, fps=12.5, **size):
    with video.Writer(str(path), fps) as writer:
        for number in range(count):
            writer.write(frame(number, **size))
    return str(path)


@pytest.fixture
def clip(tmp_path):
    return write(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    "path, expected",
    [
        ("clip.mp4", True),
        ("a/CLIP.AVI", True),
        ("clip.webm", True),
        ("picture.png", False),
        ("0", False),
        ("clip.mp4.txt", False),
        ("mp4", False),
        (".mp4", False),
    ],
)
def test_videos_are_recognized_by_extension(path, expected):
    assert video.is_video(path) is expected


@pytest.mark.parametrize(
    "source, expected",
    [
        ("0", 0),
        (2, 2),
        ("/dev/video0", 0),
        ("/dev/video12", 12),
        ("./0", None),
        ("clip.mp4", None),
        ("1.mp4", None),
        ("/dev/video", None),
        ("/home/dev/video0", None),
        ("", None),
    ],
)
def test_webcams_are_recognized_by_name(source, expected):
    assert video.webcam_number(source) == expected


def test_links_to_webcams_are_followed(monkeypatch):
    monkeypatch.setattr(os.path, "realpath", {"/dev/v4l/by-id/usb-Cam-index0": "/dev/video4"}.get)
    assert video.webcam_number("/dev/v4l/by-id/usb-Cam-index0") == 4


@pytest.mark.parametrize("fps", [12.5, 30000 / 1001])
@pytest.mark.parametrize("ending", [*video.CODECS, ".AVI"])
def test_written_videos_can_be_read(tmp_path, ending, fps):
    path = write(tmp_path / "made" / ("clip" + ending), fps=fps)
    with video.Reader(path) as reader:
        assert reader.size == (WIDTH, HEIGHT)
        assert reader.fps == pytest.approx(fps, abs=0.002)
        assert reader.count == 10
        frames = list(reader)
    assert [number_of(rgb) for rgb in frames] == list(range(10))
    for number, rgb in enumerate(frames):
        assert rgb.shape == (HEIGHT, WIDTH, 3) and rgb.dtype == np.uint8 and rgb.flags.c_contiguous
        assert np.abs(rgb.astype(int) - frame(number)).mean() < 6
        assert np.abs(corners_of(rgb) - CORNERS).max() < 12
    assert os.listdir(os.path.dirname(path)) == ["clip" + ending]


def test_opencv_reads_written_videos(clip):
    capture = cv2.VideoCapture(clip)
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (WIDTH, HEIGHT)
    assert np.abs(corners_of(capture.read()[1][..., ::-1]) - CORNERS).max() < 12


def test_names_that_ffmpeg_would_misread(tmp_path, monkeypatch):
    path = write(tmp_path / "take: 100%d, https.mp4", 3)
    monkeypatch.chdir(tmp_path)
    with video.Reader(os.path.basename(path)) as reader:
        assert len(list(reader)) == 3


@pytest.mark.parametrize("ending", video.CODECS)
@pytest.mark.parametrize("width, height", [(97, 64), (96, 65), (97, 65), (1, 1)])
def test_odd_sides_get_their_last_row_or_column_twice(tmp_path, ending, width, height):
    path = write(tmp_path / ("odd" + ending), 2, width=width, height=height)
    with video.Reader(path) as reader:
        assert reader.size == (width + width % 2, height + height % 2)
        rgb = next(reader).astype(int)
    assert np.abs(rgb[:height, :width] - frame(0, width, height)).mean() < 6
    assert np.abs(rgb[-1] - rgb[height - 1]).mean() < 6 and np.abs(rgb[:, -1] - rgb[:, width - 1]).mean() < 6


# The matrix of a track's header: how far clockwise a player is to turn the stored frame.
MATRICES = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("degrees", MATRICES)
def test_frames_are_turned_as_the_file_says(clip, degrees):
    with open(clip, "rb") as file:
        data = bytearray(file.read())
    a, b, c, d = (value << 16 for value in MATRICES[degrees])
    matrix = data.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2, version 0
    assert struct.unpack_from(">9i", data, matrix) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, matrix, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    with open(clip, "wb") as file:
        file.write(data)
    with video.Reader(clip) as reader:
        assert reader.size == ((WIDTH, HEIGHT) if degrees == 180 else (HEIGHT, WIDTH))
        rgb = next(reader)
    assert rgb.shape[1::-1] == reader.size
    assert np.abs(corners_of(rgb) - np.rot90(CORNERS, -degrees // 90)).max() < 12


@pytest.mark.parametrize("extension", video.CODECS)
@pytest.mark.parametrize("fps", [118.437, 66.667, 239.7604, 23.976, 59.94, 7.0001, 1000])
def test_any_rate_is_written(tmp_path, extension, fps):
    path = write(tmp_path / ("clip" + extension), 3, fps)
    with video.Reader(path) as reader:
        assert reader.fps == pytest.approx(fps, rel=1e-3)
        assert len(list(reader)) == 3


def test_check_encodable_refuses_before_writing(tmp_path):
    video.check_encodable("new/clip.mp4", 1920, 1080, 118.437)
    video.check_encodable("clip.avi", 97, 33, 25)
    with pytest.raises(ImageError, match="cannot write clip.mp4: OpenCV cannot encode mp4v with 9000x16 at 25"):
        video.check_encodable("clip.mp4", 9000, 16, 25)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", [b"film\xe9.mp4", b"\xff/clip.avi"])
def test_names_need_not_be_utf_8(tmp_path, name):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
    write(path, 4)
    with video.Reader(path) as reader:
        assert [number_of(rgb) for rgb in reader] == [0, 1, 2, 3]
    assert os.listdir(os.path.dirname(os.fsencode(path))) == [os.path.basename(name)]


@pytest.mark.parametrize("name", ["film.MTS", "film.m2ts", "film.vid", "film"])
def test_videos_of_other_names_are_read(tmp_path, name):
    path = str(tmp_path / name)
    os.rename(write(tmp_path / "clip.mp4", 3), path)
    assert video.is_video(path)
    with video.Reader(path) as reader:
        assert len(list(reader)) == 3


def test_other_files_are_no_videos(tmp_path):
    (tmp_path / "notes").write_text("no video")
    Image.fromarray(frame(1)).save(str(tmp_path / "picture"), "PNG")
    (tmp_path / "folder").mkdir()
    for name in ("notes", "picture", "folder", "nowhere"):
        assert not video.is_video(str(tmp_path / name)), name


def test_a_damaged_frame_in_the_middle_is_replaced_by_the_one_before(tmp_path):
    path = write(tmp_path / "clip.mp4", 60)
    data = bytearray(open(path, "rb").read())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    with open(path, "wb") as file:
        file.write(data)
    with video.Reader(path) as reader:
        frames = list(reader)
        assert 1 <= reader.damaged <= 30
    assert len(frames) == 60
    assert np.array_equal([number_of(rgb) for rgb in frames[:20]], range(20))


@pytest.mark.parametrize("extension", [".gif", ".png", ".webp"])
def test_animations_are_read_at_a_constant_rate(tmp_path, extension):
    path = str(tmp_path / ("moving" + extension))
    pictures = [Image.fromarray(frame(4 * number)) for number in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 200, 100], lossless=True)
    assert video.is_animation(path)
    with video.Reader(path) as reader:
        assert (reader.fps, reader.count, reader.size) == (10, 4, (WIDTH, HEIGHT))
        assert [number_of(rgb) for rgb in reader] == [0, 4, 4, 8]
    pictures[0].save(path)
    assert not video.is_animation(path)


def test_an_animation_is_on_white_where_it_is_transparent(tmp_path):
    path = str(tmp_path / "moving.webp")
    pictures = [Image.new("RGBA", (8, 8), (250, 0, 0, alpha)) for alpha in (0, 255)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], lossless=True)
    with video.Reader(path) as reader:
        assert [rgb[0, 0].tolist() for rgb in reader] == [[255, 255, 255], [250, 0, 0]]


def test_iteration_continues_after_next(clip):
    with video.Reader(clip) as reader:
        assert number_of(next(reader)) == 0
        assert [number_of(rgb) for rgb in reader] == list(range(1, 10))
        assert list(reader) == []


@pytest.mark.parametrize("damage", ["missing", "folder", "empty", "text", "truncated"])
def test_unreadable_videos_are_reported(tmp_path, clip, damage):
    path = str(tmp_path / "no.mp4")
    if damage == "folder":
        os.mkdir(path)
    elif damage != "missing":
        with open(clip, "rb") as file:
            whole = file.read()
        data = {"empty": b"", "text": b"no video\n" * 99, "truncated": whole[: len(whole) // 2]}[damage]
        with open(path, "wb") as file:
            file.write(data)
    expected = "no such video" if damage in ("missing", "folder") else "cannot read the video"
    with pytest.raises(ImageError, match=expected + ".*no.mp4"):
        video.Reader(path)


def test_video_without_frames_is_reported(tmp_path):
    path = str(tmp_path / "empty.avi")
    cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48)).release()
    with pytest.raises(ImageError, match="empty.avi has no frame"):
        video.Reader(path)


@pytest.mark.parametrize("source", ["987", "/dev/video987", 987])
def test_missing_webcam_is_reported(source):
    with pytest.raises(ImageError, match="no webcam 987.*/dev/video987"):
        video.Reader(source)


class Capture:
    """Stands for `cv2.VideoCapture` of a webcam."""

    def __init__(self, opens=True, fps=30.0, frames=3):
        self.opens, self.fps, self.frames, self.asked, self.released = opens, fps, frames, None, False

    def __call__(self, source):
        self.asked = source
        return self

    def isOpened(self):
        return self.opens

    def get(self, name):
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: 7.0}[name]

    def read(self):
        self.frames -= 1
        return (True, frame(1)[..., ::-1].copy()) if self.frames >= 0 else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def webcam(monkeypatch):
    """Puts a `Capture` where there is any webcam."""

    def plug(**options):
        capture = Capture(**options)
        monkeypatch.setattr(video.cv2, "VideoCapture", capture)
        monkeypatch.setattr(video.os.path, "exists", lambda path: True)
        return capture

    return plug


def test_a_webcam_is_opened_by_its_number_and_has_no_length(webcam):
    capture = webcam()
    with video.Reader("/dev/video3") as reader:
        assert capture.asked == 3
        assert (reader.size, reader.fps, reader.count) == ((WIDTH, HEIGHT), 30.0, None)
        assert [np.array_equal(rgb, frame(1)) for rgb in reader] == [True] * 3
        assert not capture.released
    assert capture.released


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 90000.0])
def test_implausible_frame_rates_are_replaced(webcam, fps):
    webcam(fps=fps)
    assert video.Reader("0").fps == video.DEFAULT_FPS


def test_webcam_without_frames_is_reported(webcam):
    webcam(opens=False)
    with pytest.raises(ImageError, match="cannot open the webcam /dev/video5"):
        video.Reader("5")
    capture = webcam(frames=0)
    with pytest.raises(ImageError, match="5 has no frame"):
        video.Reader("5")
    assert capture.released


@pytest.mark.parametrize("name", ["clip.webm", "clip", "clip.png", ".mp4"])
def test_writer_refuses_unknown_extensions(tmp_path, name):
    with pytest.raises(ImageError, match=r"\.mp4.*\.avi") as error:
        video.Writer(str(tmp_path / name), 25)
    assert name in str(error.value)


def test_output_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"what was there before")
    with video.Writer(str(path), 25) as writer:
        for number in range(5):
            writer.write(frame(number))
        assert path.read_bytes() == b"what was there before"
        assert sorted(os.listdir(str(tmp_path))) == ["clip.mp4", "clip.partial.mp4"]
    assert os.listdir(str(tmp_path)) == ["clip.mp4"]
    assert len(list(video.Reader(str(path)))) == 5


@pytest.mark.parametrize("ending", video.CODECS)
def test_an_interrupt_leaves_a_shorter_video(tmp_path, ending):
    path = str(tmp_path / ("clip" + ending))
    with pytest.raises(KeyboardInterrupt):
        with video.Writer(path, 25) as writer:
            for number in range(4):
                writer.write(frame(number))
            raise KeyboardInterrupt
    assert os.listdir(str(tmp_path)) == ["clip" + ending]
    assert [number_of(rgb) for rgb in video.Reader(path)] == [0, 1, 2, 3]


def test_an_error_leaves_nothing_and_what_was_there_before(tmp_path):
    path = tmp_path / "clip.avi"
    path.write_bytes(b"what was there before")
    with pytest.raises(ZeroDivisionError):
        with video.Writer(str(path), 25) as writer:
            writer.write(frame(0))
            1 / 0  # noqa: B018
    assert os.listdir(str(tmp_path)) == ["clip.avi"]
    assert path.read_bytes() == b"what was there before"


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt])
def test_writer_without_frames_writes_no_file(tmp_path, ending):
    try:
        with video.Writer(str(tmp_path / "clip.mp4"), 25):
            if ending:
                raise ending
    except KeyboardInterrupt:
        pass
    assert os.listdir(str(tmp_path)) == []


def test_a_frame_of_another_size_is_refused(tmp_path):
    with pytest.raises(ImageError, match="a frame of 95x64 does not fit.*clip.mp4 of 96x64"):
        with video.Writer(str(tmp_path / "clip.mp4"), 25) as writer:
            writer.write(frame(0))
            writer.write(frame(1, width=95))  # which would be 96 once it is made even
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("rgb", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), None])
def test_writer_refuses_invalid_frames(tmp_path, rgb):
    with pytest.raises(ImageError, match="uint8"):
        with video.Writer(str(tmp_path / "clip.mp4"), 25) as writer:
            writer.write(rgb)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("fps, width", [(0, 64), (-5, 64), (25, 9000)])
def test_unencodable_sizes_and_rates_are_refused(tmp_path, fps, width):
    with pytest.raises(ImageError, match="clip.mp4: OpenCV cannot encode mp4v with %dx16 at %d" % (width, fps)):
        with video.Writer(str(tmp_path / "clip.mp4"), fps) as writer:
            writer.write(np.zeros((16, width, 3), np.uint8))
    assert os.listdir(str(tmp_path)) == []


def test_writing_below_a_file_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot write .*clip.mp4"):
        write(tmp_path / "file" / "clip.mp4")


@pytest.mark.parametrize("ending", video.CODECS)
def test_a_full_disk_is_noticed(tmp_path, run, ending):
    """OpenCV says nothing of it; a limit to a file's size stands for the disk's."""
    path = tmp_path / ("clip" + ending)
    process = run(
        "-c",
        """if True:
        import resource, sys
        import numpy as np
        from ros_style_transfer.media import video
        resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))
        noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
        with video.Writer(sys.argv[1], 25) as writer:
            for _ in range(60):
                writer.write(noise)
        """,
        path,
    )
    assert "ImageError: cannot write %s: the file is incomplete" % path in process.stderr
    assert os.listdir(str(tmp_path)) == ["elsewhere"]


def test_the_demos_clip(repository):
    folders = (os.path.join(repository, ".ws", "demo"), "/usr/share/doc/opencv-doc/examples/data")
    paths = [path for path in (os.path.join(folder, "vtest.avi") for folder in folders) if os.path.exists(path)]
    if not paths:
        pytest.skip("vtest.avi of opencv-doc is not here; `./bootstrap.sh test` fetches it")
    with video.Reader(paths[0]) as reader:
        assert (reader.size, reader.fps, reader.count) == ((768, 576), 10.0, 795)
        frames = [next(reader) for _ in range(20)]
    capture = cv2.VideoCapture(paths[0])
    for rgb in frames:
        assert np.array_equal(rgb, capture.read()[1][..., ::-1])
