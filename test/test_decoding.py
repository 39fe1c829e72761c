"""Pictures from anywhere: known formats only, within bounds, and no exception of a decoder gets through."""

import io
import os
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ros_style_transfer.errors import ImageError
from ros_style_transfer.media import decoding, images

NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
KINDS = {"JPEG": {}, "PNG": {}, "WEBP": {}, "BMP": {}, "TIFF": {"compression": "tiff_lzw"}, "GIF": {}, "JPEG2000": {}}


def encoded(kind, picture=NOISE, **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **dict(KINDS.get(kind, {}), **options))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_known_formats_are_opened_from_bytes_and_files(kind):
    data = encoded(kind)
    for source in (data, io.BytesIO(data)):
        with decoding.opened(source, "it") as image:
            assert np.asarray(image.convert("RGB")).shape == NOISE.shape
    decoding.check_header(data, "it")


def test_postscript_is_not_run(tmp_path):
    """Pillow would start ghostscript."""
    path = tmp_path / "picture.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n")
    started = time.monotonic()
    with pytest.raises(ImageError, match="picture.jpg: it is in none of the formats JPEG, PNG"):
        images.read(path)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_data_raises_image_errors_only(kind):
    whole, rng = encoded(kind), np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 200), 4):
            data[place] = rng.integers(256)
        try:
            with decoding.opened(bytes(data[: rng.integers(1, len(data))]), "it") as image:
                image.load()
        except ImageError as error:
            assert str(error).startswith("cannot read the picture it: ")


@pytest.mark.parametrize(
    "error", [TypeError("not this"), NotImplementedError(), struct.error("4 bytes"), MemoryError(), RecursionError()]
)
def test_every_exception_of_a_decoder_becomes_an_image_error(monkeypatch, error):
    def load(self):
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(ImageError, match="cannot read the mask it: .*[a-z]"):
        with decoding.opened(encoded("PNG"), "it", "mask") as image:
            image.load()


def flat_png(width, height):
    """A picture of one bit per pixel without any 1, which grows a thousandfold."""
    packed, row = zlib.compressobj(9), b"\0" * (1 + width // 8)
    data = b"".join([packed.compress(row) for _ in range(height)] + [packed.flush()])

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_bombs_are_refused_before_they_are_decoded():
    with pytest.raises(ImageError, match="144 megapixels in .* MB: it looks like a decompression bomb"):
        decoding.check_header(flat_png(12000, 12000), "it")
    decoding.check_header(flat_png(4000, 4000), "it")


def test_the_bound_follows_the_free_memory(monkeypatch):
    monkeypatch.setattr(decoding, "available_memory", lambda: 20e6)
    decoding.check_header(encoded("PNG", np.zeros((1000, 1000, 3), np.uint8)), "it")
    with pytest.raises(ImageError, match="2000x1000 pixels takes about 32 MB, but only 20 MB are free"):
        decoding.check_header(encoded("PNG", np.zeros((1000, 2000, 3), np.uint8)), "it")


def test_a_telephones_200_megapixels_are_read(tmp_path):
    path = str(tmp_path / "huge.jpg")
    tile = np.random.default_rng(0).integers(0, 256, (765, 1020), np.uint8)
    Image.fromarray(np.kron(tile, np.ones((16, 16), np.uint8))).save(path, quality=50)
    limit = Image.MAX_IMAGE_PIXELS
    with open(path, "rb") as file, decoding.opened(file, path) as image:
        assert image.size == (16320, 12240)
    small = images.resize_longest_side(images.read(path, 510), 510)
    assert small.shape == (382, 510, 3)
    expected = np.asarray(Image.fromarray(tile).resize((510, 382), Image.BICUBIC), int)
    assert np.abs(small[:, :, 0] - expected).mean() < 12
    assert Image.MAX_IMAGE_PIXELS == limit, "the limit of the program that uses us"


def test_a_picture_is_only_decoded_smaller_if_that_is_enough(tmp_path):
    path = str(tmp_path / "photo.jpg")
    Image.fromarray(NOISE).resize((1600, 1200)).save(path)
    assert images.read(path, 300).shape == (600, 800, 3)
    assert images.read(path, 801).shape == (1200, 1600, 3)
    assert images.read(path).shape == (1200, 1600, 3)


@pytest.mark.parametrize("name", [b"film\xe9.png", b"\xff\xfe.tif"])
def test_names_need_not_be_utf_8(tmp_path, name):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
    images.write(path, NOISE)
    assert np.array_equal(images.read(path), NOISE)
    assert os.listdir(os.fsencode(tmp_path)) == [name]


@pytest.mark.parametrize("kind", ["fifo", "folder", "zero"])
def test_pipes_folders_and_devices_are_refused(tmp_path, kind):
    path = str(tmp_path / "picture.png")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    else:
        os.symlink("/dev/zero", path)
    for read, word in ((images.read, "picture"), (images.read_mask, "mask")):
        with pytest.raises(ImageError, match="no such %s: %s" % (word, path)):
            read(path)
