"""Label images: what is one, and how its regions coverage out the pixels at soft edges."""

import math

import numpy as np
import pytest
from PIL import Image

from ros_style_transfer.errors import ImageError, OptionError
from ros_style_transfer.media import images
from ros_style_transfer.transfer import masks


def halves(width=60, height=40, left=1, right=2):
    mask = np.full((height, width), left, np.uint8)
    mask[:, width // 2 :] = right
    return mask


def test_labels_up_to_the_number_of_styles_stay_as_they_are():
    mask = halves(left=0, right=3)
    before = mask.copy()
    assert np.array_equal(masks.check(mask, 40, 60, 3), before)


@pytest.mark.parametrize("styles", [1, 3])
def test_black_and_white_mean_unpainted_and_the_first_style(styles):
    assert np.array_equal(masks.check(halves(left=0, right=255), 40, 60, styles), halves(left=0, right=1))
    assert (masks.check(np.full((4, 6), 255, np.uint8), 4, 6, styles) == 1).all()


def test_white_beside_other_labels_is_a_label():
    mask = halves(left=0, right=255)
    mask[0, 0] = 1
    with pytest.raises(OptionError, match="label 255, but there are 2 styles"):
        masks.check(mask, 40, 60, 2)


def test_label_without_a_style_is_refused():
    with pytest.raises(OptionError) as error:
        masks.check(halves(left=1, right=7), 40, 60, 2)
    for part in ("label 7", "2 styles", "0 for unpainted", "1..2"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "mask, found",
    [
        (np.zeros((40, 60), np.float32), r"float32 \(40, 60\)"),
        (np.zeros((40, 60), bool), r"bool \(40, 60\)"),
        (np.zeros((40, 60), np.int64), r"int64 \(40, 60\)"),
        (np.zeros((40, 60, 1), np.uint8), r"uint8 \(40, 60, 1\)"),
        (np.zeros((40, 60, 3), np.uint8), r"uint8 \(40, 60, 3\)"),
        (np.zeros((0, 60), np.uint8), r"uint8 \(0, 60\)"),
        (np.uint8(1), "uint8"),
        ([[0, 1]], "list"),
        ("mask.png", "str"),
    ],
)
def test_invalid_masks_are_refused(mask, found):
    with pytest.raises(ImageError, match="a mask must be uint8 .* not " + found) as error:
        masks.check(mask, 40, 60, 2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("width, height", [(120, 80), (30, 20), (600, 400), (61, 40), (91, 60)])
def test_mask_of_another_size_is_scaled_without_new_labels(width, height):
    scaled = masks.check(halves(width, height, 0, 2), 40, 60, 2)
    assert scaled.shape == (40, 60) and set(np.unique(scaled)) == {0, 2}
    assert np.mean(scaled != halves(60, 40, 0, 2)) < 0.02


@pytest.mark.parametrize("width, height", [(40, 60), (60, 60), (120, 40), (66, 40)])
def test_mask_of_other_proportions_is_refused_with_both_sizes(width, height):
    with pytest.raises(ImageError, match="mask is %dx%d, the picture 60x40" % (width, height)):
        masks.check(halves(width, height), 40, 60, 2)


@pytest.mark.parametrize("feather", [0, 0.1, 1, 4.0, 30, 1000])
@pytest.mark.parametrize(
    "labels",
    [
        np.random.default_rng(0).integers(0, 4, (23, 31)).astype(np.uint8),
        halves(31, 23, 0, 3),
        np.zeros((23, 31), np.uint8),
        np.full((1, 1), 2, np.uint8),
        halves(2, 1, 1, 3),
        np.eye(9, dtype=np.uint8),
    ],
    ids=lambda m: "%dx%d" % m.shape[::-1],
)
def test_shares_sum_to_one_and_are_none_for_labels_that_are_not_there(labels, feather):
    coverages = masks.coverages(labels, 3, feather)
    assert coverages.shape == (4, *labels.shape) and coverages.dtype == np.float32
    assert coverages.min() >= 0
    assert np.abs(coverages.sum(0) - 1).max() < 1e-6
    for label in set(range(4)) - set(np.unique(labels)):
        assert not coverages[label].any()


def test_no_feather_is_a_hard_edge():
    labels = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.uint8)
    for label, coverage in enumerate(masks.coverages(labels, 2, 0)):
        assert np.array_equal(coverage, labels == label)


@pytest.mark.parametrize("feather", [2.0, 6.0])
def test_feathered_edge_is_a_normal_distributions_of_half_the_feather(feather):
    coverage = masks.coverages(halves(100, 20, 0, 1), 1, feather)[1]
    away = np.arange(100) + 0.5 - 50  # pixels' middles from the edge
    expected = [0.5 * (1 + math.erf(d / (feather / 2) / math.sqrt(2))) for d in away]
    assert np.abs(coverage - expected).max() < 0.02


@pytest.mark.parametrize("feather", [1.0, 4.0, 10.0])
def test_feather_ends_twice_its_width_from_the_edge(feather):
    coverages = masks.coverages(halves(100, 20, 0, 1), 1, feather)
    reach = math.ceil(2 * feather) + 1
    assert (coverages[0][:, : 50 - reach] == 1).all() and (coverages[1][:, : 50 - reach] == 0).all()
    assert (coverages[0][:, 50 + reach :] == 0).all() and (coverages[1][:, 50 + reach :] == 1).all()


def test_masks_are_read_as_labels(tmp_path):
    labels = np.uint8([[0, 1, 2], [2, 1, 255]])
    Image.fromarray(labels).save(str(tmp_path / "grey.png"))
    palette = Image.fromarray(labels, "P")
    palette.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    palette.save(str(tmp_path / "palette.png"))
    for name in ("grey.png", "palette.png"):
        assert np.array_equal(images.read_mask(str(tmp_path / name)), labels)
    Image.fromarray(labels > 1).save(str(tmp_path / "bits.png"))
    assert np.array_equal(images.read_mask(str(tmp_path / "bits.png")), np.uint8(labels > 1) * 255)


SHAPE = np.uint8([[0, 255, 255, 0], [255, 0, 255, 0]])


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "LA", "1", "P", "white first", "16 bits", "CMYK", "jpg"])
def test_black_and_white_pictures_of_every_kind_are_the_same_mask(tmp_path, kind):
    """As GIMP, Krita and Photoshop write them."""
    path, picture = str(tmp_path / "mask.png"), Image.fromarray(SHAPE)
    if kind == "white first":
        picture = Image.fromarray(np.uint8(SHAPE == 0), "P")
        picture.putpalette([255, 255, 255, 0, 0, 0])
    elif kind == "16 bits":
        picture = Image.fromarray(SHAPE.astype(np.uint16) * 257)
    elif kind == "CMYK":
        path, picture = str(tmp_path / "mask.tif"), picture.convert("RGB").convert("CMYK")
    elif kind == "jpg":
        path, picture = str(tmp_path / "mask.jpg"), picture.resize((32, 16), Image.NEAREST)
    else:
        picture = picture.convert(kind)
    picture.save(path)
    mask = images.read_mask(path)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask if kind != "jpg" else mask[4::8, 4::8], SHAPE)


def test_white_on_transparent_is_a_mask(tmp_path):
    path = str(tmp_path / "mask.png")
    Image.fromarray(np.dstack([np.full((2, 4, 3), 255, np.uint8), SHAPE])).save(path)
    assert np.array_equal(images.read_mask(path), SHAPE)


def test_labels_may_have_16_bits_or_three_equal_channels(tmp_path):
    labels = np.uint8([[0, 1, 2], [2, 1, 3]])
    Image.fromarray(labels.astype(np.uint16)).save(str(tmp_path / "16.png"))
    Image.fromarray(np.repeat(labels[..., None], 3, 2)).save(str(tmp_path / "rgb.png"))
    for name in ("16.png", "rgb.png"):
        assert np.array_equal(images.read_mask(str(tmp_path / name)), labels)


def test_a_palette_with_colours_gives_its_indices(tmp_path):
    labels = np.uint8([[0, 1, 2], [2, 1, 0]])
    picture = Image.fromarray(labels, "P")
    picture.putpalette([255, 255, 255, 0, 0, 0, 255, 0, 0])
    picture.save(str(tmp_path / "mask.png"))
    assert np.array_equal(images.read_mask(str(tmp_path / "mask.png")), labels)


def test_pictures_that_are_not_masks_are_refused(tmp_path):
    Image.fromarray(np.uint8([[[9, 9, 9], [200, 10, 10]]])).save(str(tmp_path / "colour.png"))
    Image.fromarray(np.full((2, 3), 0.5, np.float32)).save(str(tmp_path / "depth.tif"))
    (tmp_path / "text.png").write_text("no picture")
    for name, words in (
        ("colour.png", "cannot read the mask .*colour.png: a mask must be black and white, grey, or have a palette"),
        ("depth.tif", "floating-point"),
        ("text.png", "cannot read the mask"),
        ("nowhere.png", "no such mask"),
    ):
        with pytest.raises(ImageError, match=words) as error:
            images.read_mask(str(tmp_path / name))
        assert name in str(error.value) and "\n" not in str(error.value)
