"""Reading, writing and shaping pictures."""
import os

import numpy as np
import pytest
from PIL import Image

from ros_style_transfer import images
from ros_style_transfer.errors import ImageError

COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [255, 255, 255], [0, 0, 0]]], np.uint8)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tiff", ".PNG"])
def test_lossless_files_are_read_as_rgb(tmp_path, ending):
    path = str(tmp_path / ("picture" + ending))
    Image.fromarray(COLOURS).save(path)
    rgb = images.read(path)
    assert rgb.dtype == np.uint8
    assert np.array_equal(rgb, COLOURS)


def test_jpeg_is_read_in_rgb_order(tmp_path):
    path = str(tmp_path / "orange.jpg")
    Image.new("RGB", (20, 10), (250, 120, 10)).save(path, quality=95)
    rgb = images.read(path)
    assert rgb.shape == (10, 20, 3) and rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - (250, 120, 10)).max() < 6


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_kind_of_picture_becomes_three_channels(tmp_path, mode):
    # (204, 51, 102) stands in the web palette that Pillow takes for P.
    colour = (200, 200, 200) if mode in ("L", "LA") else (255, 255, 255) if mode == "1" else (204, 51, 102)
    path = str(tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png"))
    Image.new("RGB", (5, 4), colour).convert(mode).save(path)
    rgb = images.read(path)
    assert rgb.shape == (4, 5, 3) and rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - colour).max() <= 1


def test_missing_picture_is_named(tmp_path):
    path = str(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError, match="no such picture") as error:
        images.read(path)
    assert path in str(error.value)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "folder"])
def test_what_is_not_a_whole_picture_is_named(tmp_path, scene, damage):
    path = tmp_path / "picture.jpg"
    if damage == "folder":
        path.mkdir()
    elif damage == "truncated":
        Image.fromarray(scene).save(str(path))
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_bytes(b"no picture" if damage == "text" else b"")
    with pytest.raises(ImageError) as error:
        images.read(str(path))
    assert str(path) in str(error.value)


def test_write_makes_the_folders_and_keeps_the_pixels(tmp_path):
    path = tmp_path / "a" / "b" / "picture.png"
    images.write(str(path), COLOURS)
    with Image.open(str(path)) as image:
        assert np.array_equal(np.array(image), COLOURS)


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_lossy_writing_stays_close(tmp_path, styles, ending):
    path = str(tmp_path / ("picture" + ending))
    picture = styles["watercolour"][:100, :100]
    images.write(path, picture)
    with Image.open(path) as image:
        assert np.abs(np.array(image).astype(int) - picture).mean() < 8


@pytest.mark.parametrize("name", ["picture.xyz", "picture", "picture.jpg.txt"])
def test_write_refuses_unknown_endings_and_names_the_known(tmp_path, name):
    with pytest.raises(ImageError, match=r"\.jpg.*\.png") as error:
        images.write(str(tmp_path / name), COLOURS)
    assert name in str(error.value)
    assert os.listdir(str(tmp_path)) == []


def test_write_into_a_file_as_if_it_were_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="picture.png"):
        images.write(str(tmp_path / "file" / "picture.png"), COLOURS)


@pytest.mark.parametrize("size, longest, expected", [
    ((640, 480), 320, (320, 240)), ((480, 640), 320, (240, 320)), ((100, 100), 512, (512, 512)),
    ((3, 1000), 100, (1, 100)), ((333, 1000), 100, (33, 100))])
def test_scaled_size_keeps_proportions(size, longest, expected):
    assert images.scaled_size(*size, longest=longest) == expected


def test_scaled_size_is_the_judges(judge):
    for size in ((640, 480), (333, 1000), (1024, 683), (4000, 10), (17, 300)):
        assert images.scaled_size(*size, longest=512, smallest=16) == judge.scaled_size(size)


@pytest.mark.parametrize("side, expected", [(0, (160, 128)), (200, (160, 128)), (160, (160, 128)), (80, (80, 64))])
def test_limit_only_makes_smaller(scene, side, expected):
    limited = images.limit(scene, side)
    assert (limited.shape[1], limited.shape[0]) == expected and limited.dtype == np.uint8


def test_limit_averages_areas(scene):
    expected = scene.reshape(64, 2, 80, 2, 3).astype(float).mean((1, 3))
    assert np.abs(images.limit(scene, 80) - expected).max() <= 1


def test_limit_leaves_a_thin_picture_one_pixel():
    assert images.limit(np.zeros((2, 900, 3), np.uint8), 90).shape == (1, 90, 3)


@pytest.mark.parametrize("height, width, padded", [
    (37, 53, (48, 64)), (16, 16, (32, 32)), (33, 32, (48, 32)), (32, 640, (32, 640)), (20, 640, (32, 640)),
    (2, 3, (32, 32)), (17, 33, (32, 48))])
def test_pad_reflects_up_to_multiples_of_16_and_32_at_least(height, width, padded):
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    result = images.pad(rgb)
    assert result.shape == padded + (3,)
    # Reflection, written out: positions run 0, 1, .., n-1, n-2, .., 1, 0, 1, ...
    rows, columns = (np.abs((np.arange(p) + n - 1) % (2 * n - 2) - (n - 1)) for n, p in zip((height, width), padded))
    assert np.array_equal(result, rgb[rows][:, columns])


@pytest.mark.parametrize("height, width", [(1, 1), (1, 40), (50, 1)])
def test_pad_repeats_a_side_of_one_pixel(height, width):
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    result = images.pad(rgb)
    assert result.shape[0] >= 32 and result.shape[1] >= 32
    assert result.shape[0] % 16 == 0 and result.shape[1] % 16 == 0
    assert np.array_equal(result[:height, :width], rgb)
    assert (result == rgb[0, 0]).all() if rgb.shape == (1, 1, 3) else (result[-1, -1] == rgb[-1, -1]).all()


def test_resize_is_pillows_bicubic(scene):
    expected = np.array(Image.fromarray(scene).resize((61, 47), Image.BICUBIC))
    assert np.array_equal(images.resize(scene, 61, 47), expected)
