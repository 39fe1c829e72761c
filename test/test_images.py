"""Reading, writing and shaping pictures."""

import os
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from ros_style_transfer.errors import ImageError
from ros_style_transfer.media import images

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


# What a viewer does to the pixels as stored, by EXIF's orientation.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


def noise(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def of_16_bits(values):
    """``values`` in 8 bits, by the definition: 65535 becomes 255, and the nearest wins."""
    return np.uint8(np.floor(values / 65535 * 255 + 0.5))


def write_tiff(path, values, orientation):
    """A plain TIFF of uint16 ``[h,w]`` or ``[h,w,3]`` that is to be shown turned; no library here writes one."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    tags = {
        256: values.shape[1],
        257: values.shape[0],
        258: 16,
        259: 1,
        262: 1 if channels == 1 else 2,
        273: 8,
        274: orientation,
        277: channels,
        278: values.shape[0],
        279: values.nbytes,
    }
    data = values.astype("<u2").tobytes()
    bits = 8 + len(data)  # where BitsPerSample's values lie if they are several
    entries = b"".join(
        struct.pack("<HHII", tag, 3, channels, bits)
        if tag == 258 and channels > 1
        else struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value)
        for tag, value in tags.items()
    )
    path.write_bytes(
        b"II*\0"
        + struct.pack("<I", bits + 2 * channels)
        + data
        + struct.pack("<H", 16) * channels
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_pictures_are_turned_as_exif_says(tmp_path, ending, orientation):
    path = str(tmp_path / ("picture" + ending))
    stored = np.kron(COLOURS, np.ones((32, 32, 1), np.uint8))  # in JPEG's blocks
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if ending == ".webp" else {}))
    rgb, expected = images.read(path), UPRIGHT[orientation](stored)
    assert rgb.shape == expected.shape
    assert np.abs(rgb.astype(int) - expected).mean() < (3 if ending == ".jpg" else 1e-9)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK"])
def test_uncompressed_tiffs_are_turned_too(tmp_path, mode, orientation):
    """Those that Pillow would map into memory."""
    path, stored = str(tmp_path / "picture.tif"), Image.fromarray(noise((6, 9, 3))).convert(mode)
    stored.save(path, tiffinfo={274: orientation})
    assert np.array_equal(images.read(path), UPRIGHT[orientation](np.array(stored.convert("RGB"))))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3)], ids=["grey", "colour"])
def test_16_bit_pictures_are_turned_too(tmp_path, shape, orientation):
    values, path = noise(shape, np.uint16), tmp_path / "picture.tif"
    write_tiff(path, values, orientation)
    expected = UPRIGHT[orientation](of_16_bits(values)[..., None] if values.ndim == 2 else of_16_bits(values))
    rgb = images.read(str(path))
    assert rgb.shape == expected.shape[:2] + (3,)
    # OpenCV, which alone knows the low byte of colours, turns TIFFs in ways that change with its version.
    assert np.abs(rgb.astype(int) - expected).max() <= (1 if orientation > 1 and values.ndim == 3 else 0)


def test_broken_exif_is_ignored(tmp_path):
    path = str(tmp_path / "picture.png")
    Image.fromarray(COLOURS).save(path, exif=b"Exif\0\0no such thing")
    assert np.array_equal(images.read(path), COLOURS)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_rounded_to_8(tmp_path, ending, channels):
    path = str(tmp_path / ("picture" + ending))
    # Every value that matters once, then noise: the middles between two of 8 bits, the ends.
    values = noise((64, 64, channels), np.uint16)
    edges = np.array([0, 128, 129, 255, 256, 257, 32767, 32768, 65406, 65407, 65535], np.uint16)
    values[0, : len(edges)] = edges[:, None]
    cv2.imwrite(path, values[..., [2, 1, 0, 3][:channels] if channels > 1 else 0])
    rgb, alpha = images.read_with_alpha(path)
    assert rgb.dtype == np.uint8
    expected = of_16_bits(values)
    if channels == 4:
        assert np.array_equal(alpha, expected[..., 3])
        seen = alpha > 0
        assert np.array_equal(rgb[seen], expected[..., :3][seen])
    else:
        assert alpha is None
        assert np.array_equal(rgb, np.broadcast_to(expected, rgb.shape))


def test_16_bit_grey_with_alpha(tmp_path):
    values = noise((5, 7, 2), np.uint16) | 1 << 12  # nothing is wholly transparent
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    (tmp_path / "picture.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, 4, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )
    rgb, alpha = images.read_with_alpha(str(tmp_path / "picture.png"))
    assert np.array_equal(rgb, np.repeat(of_16_bits(values[..., :1]), 3, 2))
    assert np.array_equal(alpha, of_16_bits(values[..., 1]))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_float_and_32_bit_pictures_are_refused(tmp_path, dtype):
    path = str(tmp_path / "depth.tif")
    Image.fromarray(np.ones((3, 4), dtype)).save(path)
    with pytest.raises(ImageError, match="depth.tif.*save it with 8 or 16 bits"):
        images.read(path)


def profile(space, **tags):
    """The bytes of an ICC profile, version 2, with D50 as its white and these ``tags``."""
    tags = dict(tags, wtpt=xyz(0.9642, 1.0, 0.8249))
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name.encode() + struct.pack(">II", offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s12x4s28x", 128 + len(body), b"", 0x02100000, b"mntr", space, b"XYZ ", b"acsp")
    return (header + struct.pack(">iii", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))).ljust(128, b"\0") + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(v * 65536) for v in values))


def gamma(exponent):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def srgb_curve(linear):
    """Linear light, 0..1, in sRGB's 0..255 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# Columns: where red, green and blue lie in XYZ under D50, as the two standards' profiles say.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_PROFILE = profile(
    b"RGB ",
    rXYZ=xyz(*ADOBE[:, 0]),
    gXYZ=xyz(*ADOBE[:, 1]),
    bXYZ=xyz(*ADOBE[:, 2]),
    rTRC=gamma(2.19921875),
    gTRC=gamma(2.19921875),
    bTRC=gamma(2.19921875),
)


def from_adobe(rgb):
    """Adobe RGB (1998) in sRGB, 0..255, from the two standards' numbers."""
    return srgb_curve((rgb / 255.0) ** 2.19921875 @ (np.linalg.inv(SRGB) @ ADOBE).T)


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "palette", "alpha", "16 bits"])
def test_colours_are_converted_from_an_embedded_profile(tmp_path, kind):
    stored = noise((16, 16, 3)) // 2 + 60
    options = {"icc_profile": ADOBE_PROFILE}
    path = str(tmp_path / ("picture." + (kind if kind in ("tif", "webp") else "png")))
    picture = Image.fromarray(stored)
    if kind == "palette":
        picture = picture.quantize(64)
        stored = np.array(picture.convert("RGB"))
    elif kind == "alpha":
        picture.putalpha(Image.fromarray(noise((16, 16)) | 1))
    elif kind == "webp":
        options["lossless"] = True
    if kind == "16 bits":
        cv2.imwrite(path, stored[..., ::-1].astype(np.uint16) * 257)
        with open(path, "rb") as file:
            header, rest = file.read(33), file.read()
        with open(path, "wb") as file:
            file.write(header + png_chunk(b"iCCP", b"mine\0\0" + zlib.compress(ADOBE_PROFILE)) + rest)
    else:
        picture.save(path, **options)
    expected = from_adobe(stored)
    assert np.abs(expected - stored).max() > 20
    assert np.abs(images.read(path) - expected).max() < 2.5


def test_grey_is_converted_from_its_profile(tmp_path):
    grey, path = np.arange(256, dtype=np.uint8).reshape(16, 16), str(tmp_path / "grey.png")
    Image.fromarray(grey).save(path, icc_profile=profile(b"GRAY", kTRC=gamma(1.75)))
    expected = srgb_curve((grey / 255.0) ** 1.75)[..., None]
    assert np.abs(expected - grey[..., None]).max() > 15
    assert np.abs(images.read(path) - expected).max() < 2.5


def test_an_srgb_profile_changes_nothing(tmp_path):
    path, stored = str(tmp_path / "picture.png"), noise((64, 64, 3))
    Image.fromarray(stored).save(path, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert np.array_equal(images.read(path), stored)


@pytest.mark.parametrize(
    "damage",
    [b"no profile", ADOBE_PROFILE[:200], profile(b"GRAY", kTRC=gamma(1.0))],
    ids=["text", "truncated", "of another colour space"],
)
def test_an_unusable_profile_is_logged_and_ignored(tmp_path, caplog, damage):
    path = str(tmp_path / "picture.png")
    Image.fromarray(COLOURS).save(path, icc_profile=damage)
    assert np.array_equal(images.read(path), COLOURS)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.name == "ros_style_transfer.media.images"
    assert "ignoring the unusable colour profile of %s" % path in record.getMessage()


@pytest.mark.parametrize(
    "mode, options",
    [
        ("RGB", {}),
        ("RGBA", {}),
        ("L", {}),
        ("P", {}),
        ("P", {"transparency": 3}),
        ("P", {"transparency": b"\0\x80"}),
        ("L", {"transparency": 7}),
        ("RGB", {"transparency": (10, 20, 30)}),
    ],
)
def test_ordinary_pictures_are_read_without_a_warning(tmp_path, mode, options):
    path = str(tmp_path / "picture.png")
    Image.fromarray(COLOURS).convert(mode).save(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.read(path)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ((204, 51, 102), (0, 0, 255))]
    for name in ("moving.gif", "moving.webp", "moving.png"):
        path = str(tmp_path / name)
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        rgb = images.read(path)
        assert rgb.shape == (4, 6, 3) and np.abs(rgb.astype(int) - (204, 51, 102)).max() <= 1, name


def test_alpha_is_read_separately(tmp_path):
    path, alpha = str(tmp_path / "picture.png"), noise((9, 8)) | 1
    stored = noise((9, 8, 3))
    Image.fromarray(np.dstack([stored, alpha])).save(path)
    rgb, found = images.read_with_alpha(path)
    assert np.array_equal(rgb, stored) and np.array_equal(found, alpha) and found.dtype == np.uint8
    assert np.array_equal(images.read(path), stored)


def test_alpha_is_turned_with_its_picture(tmp_path):
    path, alpha = str(tmp_path / "picture.png"), noise((9, 8)) | 1
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.dstack([noise((9, 8, 3)), alpha])).save(path, exif=exif)
    assert np.array_equal(images.read_with_alpha(path)[1], UPRIGHT[6](alpha))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK"])
def test_an_opaque_picture_has_no_alpha(tmp_path, mode):
    path = str(tmp_path / "picture.tif")
    Image.fromarray(COLOURS).convert(mode).save(path)
    assert images.read_with_alpha(path)[1] is None


@pytest.mark.parametrize(
    "ending, transparency, expected",
    [
        ("png", 1, [[255, 0, 255], [255, 0, 255]]),
        ("gif", 1, [[255, 0, 255], [255, 0, 255]]),
        ("png", b"\0\x80", [[0, 128, 255], [0, 128, 255]]),
    ],
)
def test_transparency_of_a_palette(tmp_path, ending, transparency, expected):
    path = str(tmp_path / ("picture." + ending))
    picture = Image.fromarray(np.array([[0, 1, 2], [0, 1, 2]], np.uint8)).convert("P")
    picture.putpalette([250, 0, 0, 0, 250, 0, 0, 0, 250] + [9] * (253 * 3))
    picture.save(path, transparency=transparency, optimize=False)
    rgb, alpha = images.read_with_alpha(path)
    assert alpha.tolist() == expected
    seen = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]])
    assert np.array_equal(rgb[alpha > 0], np.vstack([seen, seen])[alpha.ravel() > 0])


def logo():
    """A disc, left half red, right half blue, on transparent green; a rim of half-seen white around it."""
    y, x = np.mgrid[:64, :96]
    radius = np.hypot(y - 32, x - 48)
    rgb = np.where(x[..., None] < 48, [200, 30, 20], [20, 60, 190])
    rgb[radius >= 20] = (255, 255, 255)
    rgb[radius >= 21] = (0, 255, 0)
    return rgb.astype(np.uint8), np.uint8(np.select([radius < 20, radius < 21], [255, 40]))


def test_transparent_pixels_take_the_nearest_visible_colour(tmp_path):
    path, (stored, alpha) = str(tmp_path / "logo.png"), logo()
    Image.fromarray(np.dstack([stored, alpha])).save(path)
    rgb, found = images.read_with_alpha(path)
    assert np.array_equal(found, alpha)
    assert np.array_equal(rgb[alpha > 0], stored[alpha > 0])
    # The green is gone, and the rim, which is hardly seen, has not spread.
    hidden = alpha == 0
    left = np.broadcast_to(np.arange(96) < 48, hidden.shape)
    assert (rgb[hidden & left] == (200, 30, 20)).all() and (rgb[hidden & ~left] == (20, 60, 190)).all()
    assert np.abs(rgb.mean((0, 1)) - rgb[alpha == 255].mean(0)).max() < 6


def test_the_nearest_visible_colour_is_near(tmp_path):
    path, rng = str(tmp_path / "dots.png"), np.random.default_rng(1)
    stored, alpha = noise((40, 50, 3)), np.uint8(255) * (rng.random((40, 50)) < 0.02)
    Image.fromarray(np.dstack([stored, alpha])).save(path)
    rgb = images.read(path)
    dots = np.argwhere(alpha)
    for y, x in rng.integers(0, 40, (100, 2)):
        distances = np.hypot(*(dots - (y, x)).T)
        # OpenCV's distances are off by a few per cent: any dot that is about as near may win.
        near = dots[distances <= distances.min() * 1.05 + 0.05]
        assert (rgb[y, x] == stored[near[:, 0], near[:, 1]]).all(1).any()


@pytest.mark.parametrize("value", [0, 30])
def test_nearly_transparent_pictures_keep_their_colours(tmp_path, value):
    path, stored = str(tmp_path / "ghost.png"), noise((6, 5, 3))
    Image.fromarray(np.dstack([stored, np.full((6, 5), value, np.uint8)])).save(path)
    rgb, alpha = images.read_with_alpha(path)
    assert np.array_equal(rgb, stored) and (alpha == value).all()


def test_missing_picture_is_reported(tmp_path):
    path = str(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError, match="no such picture") as error:
        images.read(path)
    assert path in str(error.value)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "folder"])
def test_damaged_pictures_are_reported(tmp_path, scene, damage):
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


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".webp", ".PNG"])
def test_alpha_goes_out_and_comes_back(tmp_path, ending):
    path, (rgb, alpha) = str(tmp_path / ("logo" + ending)), logo()
    images.write(path, rgb, alpha)
    found, found_alpha = images.read_with_alpha(path)
    assert np.array_equal(found_alpha, alpha)
    assert np.abs(found.astype(int) - rgb)[alpha == 255].mean() < (5 if ending == ".webp" else 1e-9)


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".bmp"])
def test_formats_without_alpha_get_the_picture_on_white(tmp_path, ending):
    path, (rgb, alpha) = str(tmp_path / ("logo" + ending)), logo()
    images.write(path, rgb, alpha)
    found, found_alpha = images.read_with_alpha(path)
    assert found_alpha is None
    share = alpha[..., None] / 255
    assert np.abs(found - (share * rgb + (1 - share) * 255)).mean() < (3 if ending != ".bmp" else 0.6)


@pytest.mark.parametrize(
    "alpha", [np.zeros((3, 2), np.uint8), np.zeros((2, 3), np.float32), np.zeros((2, 3, 1), np.uint8)]
)
def test_write_refuses_an_alpha_that_does_not_fit(tmp_path, alpha):
    with pytest.raises(ImageError, match=r"uint8 \[2, 3\]"):
        images.write(str(tmp_path / "picture.png"), COLOURS, alpha)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", ["picture.xyz", "picture", "picture.jpg.txt", ".png", "a/.jpg"])
def test_write_refuses_unknown_extensions(tmp_path, name):
    with pytest.raises(ImageError, match=r"\.jpg.*\.png") as error:
        images.write(str(tmp_path / name), COLOURS)
    assert name in str(error.value)
    assert os.listdir(str(tmp_path)) == []


def test_a_picture_that_cannot_be_written_leaves_what_was_there(tmp_path):
    path = str(tmp_path / "picture.webp")
    images.write(path, COLOURS)
    before = images.read(path)
    with pytest.raises(ImageError, match="cannot write .*picture.webp"):  # WebP's sides are at most 16383
        images.write(path, np.zeros((1, 16384, 3), np.uint8))
    assert np.array_equal(images.read(path), before)
    assert os.listdir(str(tmp_path)) == ["picture.webp"]


def test_write_below_a_file_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="picture.png"):
        images.write(str(tmp_path / "file" / "picture.png"), COLOURS)


def test_a_picture_that_cannot_be_written_is_rescued(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "rescued").mkdir()
    monkeypatch.setattr(images.tempfile, "tempdir", str(tmp_path / "rescued"))
    with pytest.raises(ImageError, match="cannot write .*/file/picture.jpg: .*; the picture is in ") as error:
        images.write_or_rescue(str(tmp_path / "file" / "picture.jpg"), COLOURS)
    assert np.array_equal(images.read(str(error.value).split()[-1]), COLOURS)
    images.write_or_rescue(str(tmp_path / "picture.png"), COLOURS)
    assert np.array_equal(images.read(str(tmp_path / "picture.png")), COLOURS)


@pytest.mark.parametrize(
    "size, longest, expected",
    [
        ((640, 480), 320, (320, 240)),
        ((480, 640), 320, (240, 320)),
        ((100, 100), 512, (512, 512)),
        ((3, 1000), 100, (1, 100)),
        ((333, 1000), 100, (33, 100)),
    ],
)
def test_fit_longest_side_keeps_proportions(size, longest, expected):
    assert images.fit_longest_side(*size, longest=longest) == expected


def test_fit_longest_side_is_the_judges(judge):
    for size in ((640, 480), (333, 1000), (1024, 683), (4000, 10), (17, 300)):
        assert images.fit_longest_side(*size, longest=512, smallest=16) == judge.scaled_size(size)


@pytest.mark.parametrize("side, expected", [(0, (160, 128)), (200, (160, 128)), (160, (160, 128)), (80, (80, 64))])
def test_limit_only_makes_smaller(scene, side, expected):
    limited = images.limit_longest_side(scene, side)
    assert (limited.shape[1], limited.shape[0]) == expected and limited.dtype == np.uint8


def test_limit_averages_areas(scene):
    expected = scene.reshape(64, 2, 80, 2, 3).astype(float).mean((1, 3))
    assert np.abs(images.limit_longest_side(scene, 80) - expected).max() <= 1


def test_limit_leaves_a_thin_picture_one_pixel():
    assert images.limit_longest_side(np.zeros((2, 900, 3), np.uint8), 90).shape == (1, 90, 3)


@pytest.mark.parametrize(
    "height, width, padded",
    [
        (37, 53, (48, 64)),
        (16, 16, (32, 32)),
        (33, 32, (48, 32)),
        (32, 640, (32, 640)),
        (20, 640, (32, 640)),
        (2, 3, (32, 32)),
        (17, 33, (32, 48)),
    ],
)
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


def test_concat_puts_a_style_of_the_same_height_on_the_left(scene, styles):
    style = styles["mosaic"]
    both = images.concat([style], scene)
    width = round(128 * style.shape[1] / style.shape[0])
    assert both.shape == (128, width + 160, 3) and both.dtype == np.uint8
    assert np.array_equal(both[:, width:], scene)
    assert np.array_equal(both[:, :width], images.resize(style, width, 128))


def test_concat_stacks_several_styles_in_one_column(scene):
    colours = ((250, 0, 0), (0, 250, 0), (0, 0, 250))
    sizes = ((40, 80), (300, 300), (50, 25))  # height, width: 1/2, 1 and 2 high at a width of 1
    both = images.concat([np.full(size + (3,), colour, np.uint8) for size, colour in zip(sizes, colours)], scene)
    width = both.shape[1] - 160
    assert width == round(128 / 3.5)
    column = both[:, 0].tolist()
    assert [column.count(list(colour)) for colour in colours] == [18, 37, 73]
    assert (both[:, :width] == both[:, :1]).all() and np.array_equal(both[:, width:], scene)


def test_concat_handles_extreme_proportions():
    flat, thin = np.zeros((1, 60, 3), np.uint8), np.zeros((60, 1, 3), np.uint8)
    for styles in ([flat], [thin], [flat, thin], [thin, flat, flat]):
        for painted in (flat, thin, flat[:, :1]):
            both = images.concat(styles, painted)
            assert both.shape[0] == painted.shape[0] and both.shape[1] > painted.shape[1]


@pytest.mark.parametrize("name", ["night.png", "today/night.jpg", "today/../night.png"])
def test_path_below_accepts_new_pictures(tmp_path, name):
    path = images.path_below(str(tmp_path), name, "~output_dir")
    assert path == os.path.realpath(str(tmp_path / name))


@pytest.mark.parametrize(
    "name, said",
    [
        ("../night.png", "outside"),
        ("/etc/night.png", "outside"),
        ("", "outside"),
        ("way_out/night.png", "outside"),
        ("taken.png", "exists already"),
        ("dangling.png", "outside"),
        ("night", "must end in"),
        ("a\0b.txt", "must end in"),
    ],
)
def test_path_below_refuses_other_paths(tmp_path, name, said):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "taken.png").write_bytes(b"")
    (folder / "way_out").symlink_to(tmp_path)
    (folder / "dangling.png").symlink_to(tmp_path / "not_yet.png")
    with pytest.raises(ImageError, match=said):
        images.path_below(str(folder), name, "~output_dir")


def test_path_below_needs_a_folder():
    with pytest.raises(ImageError, match="~output_dir is not set"):
        images.path_below("", "night.png", "~output_dir")
