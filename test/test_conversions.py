"""Messages of any kind, also such as no honest camera sends, to pictures and back."""

import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

pytest.importorskip("cv_bridge", reason="ROS is not installed")
pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from ros_style_transfer.errors import ImageError  # noqa: E402
from ros_style_transfer.ros import conversions  # noqa: E402
from ros_style_transfer.ros_common import conversions as without_bridge  # noqa: E402

BYTES_PER_PIXEL = {
    name: np.dtype(encoding.dtype).itemsize * encoding.channels for name, encoding in without_bridge.ENCODINGS.items()
}
ENCODINGS = sorted(BYTES_PER_PIXEL) + [
    "",
    "8UC2",
    "16UC1",
    "32FC1",
    "64FC4",
    "8SC3",
    "nv21",
    "jpeg",
    "mono8; x",
    "RGB8",
    "8UC",
    "8UC99",
    "\0",
    "bayer_",
    "bgr8 ",
]
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
FILES = [cv2.imencode(ending, PICTURE)[1].tobytes() for ending in (".png", ".jpg", ".bmp", ".tiff", ".webp")]


def converted(message):
    """The picture of a message, or None where it is refused in a sentence; cv_bridge and OpenCV must agree."""
    try:
        rgb = conversions.to_rgb(message)
    except ImageError as error:
        assert str(error)
        with pytest.raises(ImageError):
            without_bridge.to_rgb(message)
        return None
    if isinstance(message, Image):  # libjpeg fills what a damaged file lacks with anything
        np.testing.assert_array_equal(without_bridge.to_rgb(message), rgb)
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.flags.c_contiguous
    return rgb


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_image_is_a_picture_of_its_size_or_is_refused(data):
    encoding = data.draw(st.one_of(st.sampled_from(ENCODINGS), st.text(max_size=12)))
    width, height = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    row = width * BYTES_PER_PIXEL.get(encoding, 1)
    step = data.draw(st.one_of(st.just(row), st.integers(0, 200), st.just(2**32 - 1)))
    size = data.draw(st.one_of(st.just(min(step * height, 10000)), st.integers(0, 400)))
    message = Image(
        Header(),
        height,
        width,
        encoding,
        data.draw(st.integers(0, 255)),
        step,
        data.draw(st.binary(min_size=size, max_size=size)),
    )
    rgb = converted(message)
    if rgb is not None:
        assert rgb.shape[:2] == (height, width)
    try:
        assert conversions.to_labels(message).shape == (height, width)
    except ImageError as error:
        assert str(error)


@pytest.mark.parametrize("big_endian", [0, 1], ids=["little", "big"])
@pytest.mark.parametrize("encoding", sorted(BYTES_PER_PIXEL))
def test_every_encoding_is_converted_with_and_without_padding(encoding, big_endian):
    row = 16 * BYTES_PER_PIXEL[encoding]
    pixels = np.random.default_rng(1).integers(0, 256, (12, row + 6), np.uint8)
    message = Image(Header(), 12, 16, encoding, big_endian, row + 6, pixels.tobytes())
    rgb = converted(message)
    assert rgb.shape == (12, 16, 3)
    bare = Image(Header(), 12, 16, encoding, big_endian, row, pixels[:, :row].tobytes())
    np.testing.assert_array_equal(converted(bare), rgb)


@pytest.mark.slow
def test_a_row_of_four_gigabytes_costs_no_memory():
    step = 2**32 - 1
    tracemalloc.start()
    one = converted(Image(Header(), 1, 2, "mono8", 0, step, bytes([7, 9])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6
    np.testing.assert_array_equal(one, [[[7] * 3, [9] * 3]])
    assert converted(Image(Header(), 2, 2, "mono8", 0, step, bytes(400))) is None


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=20),
    st.integers(0, 10**6),
    st.binary(max_size=30),
    st.text(max_size=10),
)
def test_any_compressed_data_is_a_picture_or_is_refused(whole, changes, cut, tail, said):
    data = bytearray(whole)
    for at, value in changes:
        data[at % len(data)] = value
    converted(CompressedImage(Header(), said, bytes(data[: cut % (2 * len(data))]) + tail))
    converted(CompressedImage(Header(), said, tail))


@pytest.mark.parametrize("data", FILES, ids=("png", "jpeg", "bmp", "tiff", "webp"))
def test_whole_files_are_read(data):
    rgb = converted(CompressedImage(Header(), "", data))
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(rgb, expected)


def png_header(width, height):
    """A PNG of this size: its header, and no data."""
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IEND", b"")


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header():
    with pytest.raises(ImageError, match="bomb"):
        conversions.to_rgb(CompressedImage(Header(), "png", png_header(60000, 60000)))
    with pytest.raises(ImageError, match="60000x60000 rgb8 .* needs 10800000000 bytes, got 5"):
        conversions.to_rgb(Image(Header(), 60000, 60000, "rgb8", 0, 180000, b"12345"))


def test_an_image_above_the_limit_is_refused_before_it_is_decoded():
    refused = "3000x2000 has 6.0 megapixels; at most 5 are accepted .~max_frame_megapixels."
    with pytest.raises(ImageError, match=refused):
        conversions.to_rgb(CompressedImage(Header(), "png", png_header(3000, 2000)), max_megapixels=5)
    with pytest.raises(ImageError, match=refused):  # the data is missing, too, but the size comes first
        conversions.to_rgb(Image(Header(), 2000, 3000, "bgr8", 0, 9000, b""), max_megapixels=5)
    with pytest.raises(ImageError, match=refused):
        conversions.to_labels(Image(Header(), 2000, 3000, "mono8", 0, 3000, b""), max_megapixels=5)
    small = CompressedImage(Header(), "png", FILES[0])
    assert conversions.to_rgb(small, max_megapixels=1).shape == PICTURE.shape


def test_formats_that_start_programs_are_refused():
    """Pillow gives PostScript to ghostscript, which runs it: here it would write a file, or never end."""
    loop = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n{} loop\n"
    started = time.monotonic()
    with pytest.raises(ImageError, match="none of the formats"):
        conversions.to_rgb(CompressedImage(Header(), "jpeg", loop))
    assert time.monotonic() - started < 5


def depth(values, encoding, big_endian=False):
    data = np.asarray(values, (">" if big_endian else "<") + {"16UC1": "u2", "32FC1": "f4"}[encoding])
    return Image(Header(), data.shape[0], data.shape[1], encoding, int(big_endian), data[0].nbytes, data.tobytes())


@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_is_shown_between_the_ends_of_its_range(big_endian):
    millimetres = [[0, 500, 1000], [3000, 5000, 9000]]
    rgb = conversions.to_rgb(depth(millimetres, "16UC1", big_endian), (1000, 5000))
    np.testing.assert_array_equal(rgb[:, :, 0], [[0, 0, 0], [128, 255, 255]])
    assert (rgb[:, :, :1] == rgb).all()
    metres = [[np.nan, 0.5, 1], [3, 5, np.inf]]
    rgb = conversions.to_rgb(depth(metres, "32FC1", big_endian), (1, 5))
    np.testing.assert_array_equal(rgb[:, :, 0], [[0, 0, 0], [128, 255, 0]])


def test_depth_without_a_range_uses_that_of_the_image():
    ramp = np.linspace(2000, 3000, 120 * 160).reshape(120, 160)
    ramp[0] = 0  # nothing measured
    ramp[50, 50] = 60000  # one wrong measurement
    grey = conversions.to_rgb(depth(ramp, "16UC1"))[:, :, 0]
    assert (grey[0] == 0).all() and grey[50, 50] == 255
    assert grey[5, 5] < 20 and grey[-5, -5] > 235 and abs(int(grey[60, 80]) - 128) < 8
    celsius = conversions.to_rgb(depth([[-20, 0], [10, 20]], "32FC1"))[:, :, 0]
    assert celsius[0, 0] == 0 and celsius[1, 1] == 255 and 100 < celsius[0, 1] < 150
    nothing = conversions.to_rgb(depth(np.full((4, 4), np.nan), "32FC1"))
    assert not nothing.any()
    assert not conversions.to_rgb(depth(np.full((4, 4), 7), "16UC1")).any(), "one value alone has no range"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_there_and_back_is_the_same_picture(width, height, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    header = Header(frame_id="lens")
    np.testing.assert_array_equal(converted(conversions.to_message(rgb, header)), rgb)
    np.testing.assert_array_equal(converted(conversions.to_compressed(rgb, header, "png")), rgb)
    jpeg = conversions.to_compressed(rgb, header, "jpeg", 100)
    assert jpeg.header is header and converted(jpeg).shape == rgb.shape


def test_an_uncalibrated_cameras_info_stays_so():
    info = conversions.scale_info(CameraInfo(), Header(frame_id="lens"), 0.5, 0.25)
    assert (info.width, info.height, info.header.frame_id) == (0, 0, "lens")
    assert not any(info.K) and not any(info.P)


def test_texts_and_numbers_are_bounded_to_what_messages_hold():
    """Such as the name of a file that is not UTF-8, or weights of 1e39: publishing must not raise."""
    name = b"film\xe9".decode("utf-8", "surrogateescape")
    assert conversions.to_text(name) == "film?" and conversions.to_text("M\u00fcnch") == "M\u00fcnch"
    for number in (1e39, -1e39, float("inf"), float("nan"), 0.25):
        np.float32(conversions.to_float32(number))
        struct.pack("<f", conversions.to_float32(number))
    assert conversions.to_float32(0.25) == 0.25
    assert (conversions.to_uint32(-1), conversions.to_uint32(2**40), conversions.to_uint32(7)) == (0, 2**32 - 1, 7)
