"""Keeping the content's colours, against the formulas in numpy's float64."""

import numpy as np
import pytest
from conftest import draw_scene

from ros_style_transfer.transfer import colours


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**exponent) @ vectors.T


def moments(rgb):
    flat = np.asarray(rgb, np.float64).reshape(-1, 3) / 255
    return flat.mean(0), np.cov(flat.T, bias=True)


def lightness(rgb):
    """Rec. 601's, which YCrCb has."""
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def chroma(rgb):
    """What is left of red and blue without the lightness."""
    return rgb[..., ::2].astype(float) - lightness(rgb)[..., None]


def muted(seed, contrast=0.25):
    """Mid-grey with a little of a scene: whatever is taken from it, no colour leaves 0..255."""
    return np.uint8(128 + contrast * (draw_scene(60, 40, seed).astype(float) - 128))


def test_luminance_takes_lightness_from_the_painted_and_colours_from_the_content():
    content, painted = muted(1), muted(2)
    kept = colours.keep_luminance(content, painted)
    assert kept.shape == content.shape and kept.dtype == np.uint8
    # Three roundings to whole levels, of Y, Cr and Cb and of the result, stretched by up to 1.8.
    assert np.abs(lightness(kept) - lightness(painted)).max() < 1.5
    assert np.abs(chroma(kept) - chroma(content)).max() < 3
    assert np.abs(chroma(kept) - chroma(painted)).max() > 15


def test_luminance_of_a_picture_with_itself_changes_nothing():
    picture = draw_scene(60, 40)
    assert np.abs(colours.keep_luminance(picture, picture).astype(int) - picture).max() <= 2


def test_luminance_gives_a_grey_content_no_colour():
    grey = np.repeat(draw_scene(60, 40)[..., :1], 3, axis=2)
    kept = colours.keep_luminance(grey, draw_scene(60, 40, seed=3))
    assert np.ptp(kept.astype(int), axis=-1).max() <= 1


def test_luminance_does_not_touch_what_it_is_given():
    content, painted = draw_scene(30, 20, 1), draw_scene(30, 20, 2)
    before = content.copy(), painted.copy()
    colours.keep_luminance(content, painted)
    assert np.array_equal(content, before[0]) and np.array_equal(painted, before[1])


def test_colour_statistics_are_mean_and_covariance_to_what_eyes_can_tell():
    picture = draw_scene(60, 40)
    for found, expected, step in zip(colours.colour_statistics(picture), moments(picture), (0.01, 0.001)):
        assert np.abs(found - expected).max() <= step / 2 + 1e-12


def test_colour_statistics_do_not_move_with_a_still_cameras_noise():
    scene = draw_scene(160, 128).astype(int)
    rng = np.random.default_rng(0)
    frames = [np.uint8(np.clip(scene + np.round(rng.normal(0, 1, scene.shape)), 0, 255)) for _ in range(8)]
    found = {tuple(np.concatenate([part.ravel() for part in colours.colour_statistics(frame)])) for frame in frames}
    # A value that lies on a step's edge may fall on either side.
    assert len(found) <= 2


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_coral_gives_the_mean_and_covariance_that_are_asked_for(scale):
    style = muted(2)
    mean, covariance = moments(muted(1))
    recoloured = colours.coral(style, mean, scale * covariance)
    assert recoloured.shape == style.shape and recoloured.dtype == np.uint8
    found_mean, found_covariance = moments(recoloured)
    # Rounding to whole levels, and `colours.TINY` beside variances of about 1e-3.
    assert np.abs(found_mean - mean).max() < 1 / 255
    assert np.linalg.norm(found_covariance - scale * covariance) < 0.1 * np.linalg.norm(scale * covariance)


def test_coral_is_sun_et_als_map():
    style = draw_scene(60, 40, 2)
    mean, covariance = moments(muted(1))
    own_mean, own = moments(style)
    expected = (style.reshape(-1, 3) / 255 - own_mean) @ power(own, -0.5) @ power(covariance, 0.5) + mean
    recoloured = colours.coral(style, mean, covariance).reshape(-1, 3)
    assert np.abs(recoloured - np.clip(expected, 0, 1) * 255).max() < 2


def test_coral_with_a_pictures_own_statistics_changes_nothing():
    picture = draw_scene(60, 40)
    assert np.abs(colours.coral(picture, *moments(picture)).astype(int) - picture).max() <= 1


@pytest.mark.parametrize("value", [0, 128, 255])
def test_coral_of_one_colour_becomes_the_mean(value):
    flat = np.full((6, 7, 3), value, np.uint8)
    recoloured = colours.coral(flat, np.array([0.2, 0.4, 0.6]), 0.01 * np.eye(3))
    assert np.abs(recoloured - 255 * np.array([0.2, 0.4, 0.6])).max() <= 1


def test_coral_towards_one_colour_is_nearly_that():
    flat = np.full((6, 7, 3), (50, 100, 150), np.uint8)
    recoloured = colours.coral(draw_scene(60, 40), *colours.colour_statistics(flat))
    assert np.abs(recoloured.reshape(-1, 3).mean(0) - (50, 100, 150)).max() < 3
    assert recoloured.reshape(-1, 3).std(0).max() < 3


def test_coral_of_a_single_pixel_is_the_mean():
    recoloured = colours.coral(np.uint8([[[9, 8, 7]]]), *colours.colour_statistics(np.uint8([[[10, 200, 60]]])))
    assert np.abs(recoloured[0, 0].astype(int) - (10, 200, 60)).max() <= 2


@pytest.mark.parametrize("saturation", [0.0, 0.4, 1.0, 1.7, 2.0])
def test_saturation_scales_chroma_around_luma(saturation):
    painted = draw_scene(60, 40, 4)
    found = colours.saturate(painted, saturation)
    luma = lightness(painted)[..., None]
    expected = np.clip(luma + saturation * (painted.astype(float) - luma), 0, 255)
    assert found.shape == painted.shape and found.dtype == np.uint8
    assert np.abs(found - expected).max() < 0.75  # rounded to whole levels, by factors of ten bits
    if saturation == 1.0:
        assert np.array_equal(found, painted)


def test_saturation_keeps_the_lightness_where_nothing_is_clipped():
    painted = muted(1)
    for saturation in (0.0, 0.5, 2.0):
        found = colours.saturate(painted, saturation)
        assert np.abs(lightness(found) - lightness(painted)).max() < 1
        assert np.abs(chroma(found) - saturation * chroma(painted)).max() < 1.5
    grey = colours.saturate(painted, 0.0)
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1
