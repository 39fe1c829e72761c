"""The pipeline: the transform of features between encoder and decoder, against formulas in numpy's float64."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_scene
from references import (
    WIDTHS,
    decode_features,
    decode_image,
    distance,
    encode,
    flatness,
    moments,
    power,
    random_arrays,
    regular,
    transformed,
)

from ros_style_transfer.controls import Controls
from ros_style_transfer.errors import OptionError
from ros_style_transfer.models import noise as noise_module
from ros_style_transfer.models.canvas import canvas
from ros_style_transfer.models.cascade import Cascade
from ros_style_transfer.models.live import Live
from ros_style_transfer.models.shapes import COLOR_FLOOR, LITE_BLOCKS, LIVE_BLOCKS
from ros_style_transfer.transfer import masks, style_swap, tiled_round, wct
from ros_style_transfer.transfer.loading import load_pipeline
from ros_style_transfer.transfer.pipeline import TransferPipeline
from ros_style_transfer.transfer.regions import Region, Style, blend_styles

METHODS = ("wct", "ot", "adain", "whiten")


@pytest.fixture(scope="module")
def cascade():
    return load_pipeline("cascade")


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No canvas, except in its own test, so that the transform of the features is tested alone."""
    monkeypatch.setattr(Cascade, "canvas_amplitude", 0.0)


@pytest.fixture(scope="module")
def live():
    """The live model with weights that have learned nothing."""
    return TransferPipeline(Live(random_arrays(), WIDTHS))


@pytest.fixture(scope="module")
def lite():
    """The same with fewer residual blocks, as the lite model has them."""
    return TransferPipeline(Live(random_arrays(blocks=LITE_BLOCKS), WIDTHS, LITE_BLOCKS))


@pytest.fixture(scope="module")
def rgb():
    return tf.constant(draw_scene(96, 80), tf.float32) / 255


@pytest.fixture(scope="module")
def pictures(styles):
    """Two style pictures, float32 in 0..1."""
    return [tf.constant(styles[name][100:228, 60:220], tf.float32) / 255 for name in ("mosaic", "ink_wash")]


def paint(pipeline, rgb, regions, model="cascade", **controls):
    regions = [Region(regions)] if isinstance(regions, Style) else regions
    return pipeline.stylize(rgb, regions, Controls(**controls).resolved(model))


def features_of(pipeline, rgb, level):
    return pipeline.network.encode(rgb, (level,))[level].numpy()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [5, 3, 1])
def test_one_level_is_encoded_given_the_styles_statistics_and_decoded(cascade, rgb, pictures, level, method):
    content, style = (features_of(cascade, picture, level) for picture in (rgb, pictures[0]))
    wanted = tf.constant(transformed(content, style, method, cascade.ridge), tf.float32)
    expected = cascade.network.decode_image({level: wanted}).numpy()
    found = paint(cascade, rgb, cascade.encode_style(pictures[0]), levels=(level,), method=method)
    assert found.shape == rgb.shape and found.dtype == np.float32
    assert distance(found, expected) < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_strength_blends_features(cascade, rgb, pictures, method):
    content, style = (features_of(cascade, picture, 3) for picture in (rgb, pictures[0]))
    wanted = 0.3 * transformed(content, style, method, cascade.ridge) + 0.7 * content
    expected = cascade.network.decode_image({3: tf.constant(wanted, tf.float32)}).numpy()
    found = paint(cascade, rgb, cascade.encode_style(pictures[0]), levels=(3,), method=method, strength=0.3)
    assert distance(found, expected) < 0.01


def test_levels_of_the_cascade_paint_one_after_the_other(cascade, rgb, pictures):
    style = cascade.encode_style(pictures[0])
    after = rgb
    for level in (4, 2, 3):
        after = tf.constant(paint(cascade, after, style, levels=(level,)))
    assert distance(paint(cascade, rgb, style, levels=(4, 2, 3)), after) < 1e-4
    assert distance(paint(cascade, rgb, style, levels=(2, 3, 4)), after) > 0.1


@pytest.mark.parametrize("strength, level_strength, shows", [(1.0, {}, 1.0), (0.5, {4: 0.4}, 0.2)])
def test_the_cascades_first_level_stands_on_the_canvas_as_far_as_it_is_painted(
    monkeypatch, cascade, pictures, strength, level_strength, shows
):
    even = draw_scene(96, 80) // 16 + 100
    even[:48] = 90
    style, given = cascade.encode_style(pictures[0]), dict(strength=strength, level_strength=level_strength)
    noise = shows * canvas()[:80, :96] * flatness(even / 255)
    expected = paint(
        cascade, tf.constant(even / 255 + 0.04 * noise[..., None], tf.float32), style, levels=(4, 2), **given
    )
    bare = paint(cascade, even, style, levels=(4, 2), **given)
    monkeypatch.undo()
    assert distance(paint(cascade, even, style, levels=(4, 2), **given), expected) < 0.01
    assert distance(bare, expected) > 0.03


@pytest.mark.parametrize("model", ["cascade", "live"])
def test_another_pass_is_painting_what_was_painted(request, model, rgb, pictures):
    pipeline = request.getfixturevalue(model)
    style, after = pipeline.encode_style(pictures[0]), rgb
    for passes in (1, 2, 3):
        after = tf.constant(paint(pipeline, after, style, model))
        assert distance(paint(pipeline, rgb, style, model, passes=passes), after) < 1e-3


@pytest.mark.parametrize("model", ["cascade", "live"])
def test_a_levels_strength_is_a_factor_of_the_whole_one(request, model, rgb, pictures):
    pipeline = request.getfixturevalue(model)
    style = pipeline.encode_style(pictures[0])
    everywhere = {level: 0.25 for level in Controls().resolved(model).levels}
    found = paint(pipeline, rgb, style, model, strength=0.4, level_strength=everywhere)
    assert distance(found, paint(pipeline, rgb, style, model, strength=0.1)) < 1e-4


@pytest.mark.parametrize("level", [5, 4, 3, 2, 1])
def test_a_levels_strength_is_that_levels_alone(cascade, rgb, pictures, level):
    style, after = cascade.encode_style(pictures[0]), rgb
    for each in (5, 4, 3, 2, 1):
        after = tf.constant(paint(cascade, after, style, levels=(each,), strength=0.2 if each == level else 1.0))
    assert distance(paint(cascade, rgb, style, level_strength={level: 0.2}), after) < 1e-3


def test_levels_without_strength_are_left_out(cascade, rgb, pictures):
    style = cascade.encode_style(pictures[0])
    assert np.array_equal(paint(cascade, rgb, style, level_strength={level: 0 for level in (5, 4, 3, 2, 1)}), rgb)
    found = paint(cascade, rgb, style, level_strength={5: 0, 3: 0})
    assert np.array_equal(found, paint(cascade, rgb, style, levels=(4, 2, 1)))


def expected_painting(rgb, style, blocks, levels, method="ot", strength=1.0, recolored=True):
    """What the live model paints, in numpy."""
    arrays = random_arrays(blocks=blocks)
    content, styles = encode(rgb, arrays), encode(style, arrays)
    change = lambda values, target, floor=0.0: transformed(values, target, method, wct.RIDGE, strength, floor)
    for level in set(levels) & {1, 2}:
        content[level] = change(content[level], styles[level])
    noise = {
        level: strength * (level in levels and method != "whiten") * texture_noise(level, rgb.shape)
        for level in (2, 1, 0)
    }
    decoded, code = decode_features(content, arrays, blocks, noise)
    if 0 not in levels:
        return decode_image(decoded, code, arrays, blocks, noise)
    decoded = change(decoded, decode_features(styles, arrays, blocks)[0])
    image = decode_image(decoded, code, arrays, blocks, noise)
    return change(image, style, COLOR_FLOOR) if recolored else image


def texture_noise(level, shape):
    """The noise of a level of the decoder under a picture of this shape."""
    height, width = (side // {0: 4, 1: 8, 2: 16}[level] for side in shape[:2])
    noise = np.random.RandomState(level).standard_normal((128, 128, 1))
    return noise[np.ix_(np.arange(height) % 128, np.arange(width) % 128)]


def test_noise_repeats_itself_and_is_the_same_for_everyone():
    found = noise_module.texture_noise(0, 130, 300)
    assert found.dtype == np.float32 and not found.flags.writeable
    assert np.array_equal(found, np.float32(texture_noise(0, (520, 1200))))
    assert abs(found.mean()) < 0.02 and abs(found.std() - 1) < 0.02
    graph = noise_module.texture_noise_graph(1, tf.zeros((8 * 130, 8 * 9, 3)), 8)
    assert np.array_equal(graph, noise_module.texture_noise(1, 130, 9))


def test_noise_is_under_the_stylized_regions_alone(live, rgb, pictures, monkeypatch):
    given, decode = [], live.network.decode_features
    monkeypatch.setattr(
        live.network, "decode_features", lambda f, m, noise=None: given.append(noise) or decode(f, m, noise)
    )
    height, width = rgb.shape[:2]
    coverage = np.zeros((height, width), np.float32)
    coverage[:, : width // 32 * 16] = 1
    regions = [Region(live.encode_style(pictures[0]), coverage), Region(None, 1 - coverage)]
    paint(live, rgb, regions, "live", strength=0.5, level_strength={1: 0.5})
    for level, factor, stride in ((2, 0.5, 16), (1, 0.25, 8), (0, 0.5, 4)):
        plane, middle = given[-1][level], width // 32 * 16 // stride
        assert np.allclose(plane[:, :middle], factor * texture_noise(level, rgb.shape)[:, :middle])
        assert not plane[:, middle:].any()


@pytest.mark.parametrize("model, blocks", [("live", LIVE_BLOCKS), ("lite", LITE_BLOCKS)])
@pytest.mark.parametrize("levels", [(2, 1, 0), (2, 1), (1,), (2, 0), (0,)])
@pytest.mark.parametrize("region", ["all", "the whole picture as a region"])
def test_live_models_paint_their_levels_together_and_leave_the_others(
    request, rgb, pictures, model, blocks, levels, region
):
    pipeline = request.getfixturevalue(model)
    coverage = None if region == "all" else np.ones(rgb.shape[:2], np.float32)
    found = paint(pipeline, rgb, [Region(pipeline.encode_style(pictures[0]), coverage)], model, levels=levels)
    assert distance(found, expected_painting(rgb.numpy(), pictures[0].numpy(), blocks, levels)) < 2e-3


@pytest.mark.parametrize("method", ["wct", "ot", "adain"])
@pytest.mark.parametrize("region", ["all", "the whole picture as a region"])
def test_live_model_paints_with_every_method_and_strength(live, rgb, pictures, method, region):
    coverage = None if region == "all" else np.ones(rgb.shape[:2], np.float32)
    for strength in (0.4, 1.0):
        found = paint(
            live, rgb, [Region(live.encode_style(pictures[0]), coverage)], "live", method=method, strength=strength
        )
        expected = expected_painting(rgb.numpy(), pictures[0].numpy(), LIVE_BLOCKS, (2, 1, 0), method, strength)
        assert distance(found, expected) < 5e-3


def test_whitening_leaves_the_colors_as_they_are_decoded(live, rgb):
    found = paint(live, rgb, [Region(None)], "live", method="whiten")
    content = rgb.numpy()
    expected = expected_painting(content, content, LIVE_BLOCKS, (2, 1, 0), "whiten", recolored=False)
    assert distance(found, expected) < 5e-3


@pytest.mark.parametrize("method", ["wct", "ot", "adain"])
@pytest.mark.parametrize("model", ["live", "lite"])
def test_painted_colors_are_the_styles(request, rgb, pictures, model, method):
    """Mean and covariance, before what is out of range is cut off."""
    pipeline = request.getfixturevalue(model)
    for picture in pictures:
        found = paint(pipeline, rgb, pipeline.encode_style(picture), model, method=method)
        (mean, covariance), (own_mean, own) = moments(picture), moments(found)
        assert np.abs(own_mean - mean).max() < 1e-4
        if method == "adain":
            own, covariance = np.diag(own), np.diag(covariance)
        assert distance(own, covariance) < 0.02  # what the floor and the ridge take


def test_painted_colors_are_a_mixtures(live, rgb, pictures):
    mixed = blend_styles([live.encode_style(picture) for picture in pictures], (1, 3))
    mean, covariance = (0.25 * a + 0.75 * b for a, b in zip(*map(moments, pictures)))
    own_mean, own = moments(paint(live, rgb, mixed, "live"))
    assert np.abs(own_mean - mean).max() < 1e-4 and distance(own, covariance) < 0.02


def test_each_region_of_a_mask_has_its_own_styles_colors(live, rgb, pictures):
    labels = np.ones((80, 96), np.uint8)
    labels[:, 48:], labels[64:, :32] = 2, 0
    coverages = masks.coverages(labels, 2, 0)
    styles = [live.encode_style(picture) for picture in pictures]
    regions = [Region(None, coverages[0]), Region(styles[0], coverages[1]), Region(styles[1], coverages[2])]
    painted = paint(live, rgb, regions, "live")
    for label, picture in enumerate(pictures, 1):
        (mean, covariance), (own_mean, own) = moments(picture), moments(painted[labels == label])
        assert np.abs(own_mean - mean).max() < 1e-4 and distance(own, covariance) < 0.02
    bare = moments(painted[labels == 0])[0]
    assert min(np.abs(bare - moments(picture)[0]).max() for picture in pictures) > 0.05


@pytest.mark.parametrize("deviation, most", [(0.001, 0.07), (0.005, 0.3), (0.1, 1.0)])
def test_noise_of_a_flat_image_is_not_blown_up_to_the_styles_contrast(rgb, pictures, deviation, most):
    """Where the decoder paints next to nothing, the colors are the style's mean."""
    arrays = random_arrays()
    image = expected_painting(rgb.numpy(), pictures[0].numpy(), LIVE_BLOCKS, (2, 1, 0), recolored=False)
    for part in ("image_kernel", "image_bias"):
        arrays[part] = arrays[part] * np.float32(deviation / image.std((0, 1)).mean())
    flat = TransferPipeline(Live(arrays, WIDTHS))
    painted = paint(flat, rgb, flat.encode_style(pictures[0]), "live")
    mean, covariance = moments(pictures[0])
    assert np.abs(moments(painted)[0] - mean).max() < 1e-3
    contrast = painted.std((0, 1)).mean() / np.sqrt(np.diag(covariance)).mean()
    assert 0.3 * most < contrast < most


TILED = [
    {},
    {"method": "wct"},
    {"method": "adain"},
    {"method": "whiten"},
    {"strength": 0.3},
    {"level_strength": {0: 0.0}},
    {"level_strength": {2: 0.5, 0: 0.7}},
    {"levels": (2, 1)},
    {"levels": (1, 0)},
    {"levels": (0,)},
    {"passes": 2},
    {"swap": 1.0},
    {"swap": 0.5, "swap_level": 1, "swap_patch": 5, "swap_stride": 2, "strength": 0.8},
]


@pytest.mark.parametrize("controls", TILED, ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_tiles_are_painted_as_one_piece(live, pictures, controls, masked):
    content = draw_scene(448, 400)
    if controls.get("method") == "whiten":
        regions = [Region(None)]
    else:
        swap_level = Controls(**controls).resolved("live").swap_level if "swap" in controls else None
        styles = [live.encode_style(picture, swap_level) for picture in pictures]
        regions = [Region(styles[0])]
        if masked:
            labels = np.ones((400, 448), np.uint8)
            labels[100:, :200], labels[40:230, 250:] = 2, 0
            regions = [
                Region(style, coverage) for style, coverage in zip([None, *styles], masks.coverages(labels, 2, 4.0))
            ]
    resolved = Controls(**controls).resolved("live")
    whole = live.stylize(content, regions, resolved)
    reports = []
    tiled = live.stylize(content, regions, resolved, 64, reports.append)
    peak = max(1.0, np.abs(whole).max())  # random weights let what is not stylized grow from pass to pass
    assert np.sqrt(np.mean(np.square(tiled - whole, dtype=np.float64))) < 1e-3 * peak
    assert len(reports) >= 2 * 49 and reports == sorted(reports) and reports[-1] == pytest.approx(1)


def test_painting_keeps_a_half_precisions_features_in_it(rgb, pictures):
    half = load_pipeline("cascade", "float16")
    style = half.encode_style(pictures[0])
    coverages = masks.coverages(np.random.default_rng(0).integers(0, 2, (80, 96)).astype(np.uint8), 1, 4.0)
    for regions in (style, [Region(None, coverages[0]), Region(style, coverages[1])]):
        painted = paint(half, rgb, regions)
        assert painted.dtype == np.float32 and np.isfinite(painted).all()


def test_one_style_blended_is_that_style(cascade, pictures):
    style = cascade.encode_style(pictures[0])
    assert blend_styles([style], [0.3]) is style


def test_blend_is_the_mean_by_the_weights_proportions(cascade, pictures):
    styles = [cascade.encode_style(picture) for picture in pictures]
    for weights in ((1, 3), (0.25, 0.75), (100, 300)):
        blended = blend_styles(styles, weights)
        assert sorted(blended.statistics) == [1, 2, 3, 4, 5]
        for level, found in blended.statistics.items():
            for mixed, a, b in zip(found, *(style.statistics[level] for style in styles)):
                assert distance(mixed, 0.25 * a.numpy().astype(np.float64) + 0.75 * b) < 1e-5


def test_blend_of_all_and_nothing_is_the_first(cascade, rgb, pictures):
    styles = [cascade.encode_style(picture) for picture in pictures]
    blended = blend_styles(styles, (1, 0))
    for level, found in blended.statistics.items():
        assert all(np.array_equal(a, b) for a, b in zip(found, styles[0].statistics[level]))
    assert np.array_equal(paint(cascade, rgb, blended), paint(cascade, rgb, styles[0]))


def shrink(coverage, side):
    """The mean of every ``side`` x ``side`` square."""
    height, width = (n // side for n in coverage.shape)
    return coverage.reshape(height, side, width, side).mean((1, 3)).astype(np.float64)


@pytest.mark.parametrize("level", [4, 1])
def test_regions_take_their_own_statistics_and_mix_by_their_shares(cascade, rgb, pictures, level):
    labels = np.zeros((80, 96), np.uint8)
    labels[:, 30:] = 1
    labels[37:, 50:] = 2
    coverages = masks.coverages(labels, 2, 4.0)
    styles = [cascade.encode_style(picture) for picture in pictures]
    content = features_of(cascade, rgb, level).astype(np.float64)
    expected = shrink(coverages[0], 2 ** (level - 1))[..., None] * content
    for picture, coverage in zip(pictures, coverages[1:]):
        small, style = shrink(coverage, 2 ** (level - 1)), features_of(cascade, picture, level)
        if small.sum() < tiled_round.MIN_REGION_POSITIONS:
            mean, covariance = moments(content)
        else:
            flat = content.reshape(-1, content.shape[-1])
            mean = np.average(flat, axis=0, weights=small.ravel())
            covariance = np.cov(flat.T, aweights=small.ravel(), bias=True)
        style_mean, style_covariance = moments(style)
        matrix = power(regular(covariance, cascade.ridge), -0.5) @ power(style_covariance, 0.5)
        expected += small[..., None] * ((content - mean) @ matrix + style_mean)
    wanted = cascade.network.decode_image({level: tf.constant(expected, tf.float32)})
    regions = [Region(None, coverages[0]), Region(styles[0], coverages[1]), Region(styles[1], coverages[2])]
    assert distance(paint(cascade, rgb, regions, levels=(level,)), wanted) < 0.01


def test_a_region_of_a_few_pixels_takes_the_whole_pictures_statistics(cascade, rgb, pictures):
    style, content = cascade.encode_style(pictures[0]), features_of(cascade, rgb, 1)
    coverage = np.zeros((80, 96), np.float32)
    coverage[40:47, 50:59] = 1  # 63 positions at level 1
    wanted = content + coverage[..., None] * (
        transformed(content, features_of(cascade, pictures[0], 1), "wct", cascade.ridge) - content
    )
    found = paint(cascade, rgb, [Region(style, coverage), Region(None, 1 - coverage)], levels=(1,))
    assert distance(found, cascade.network.decode_image({1: tf.constant(wanted, tf.float32)})) < 1e-3


def test_one_region_of_all_is_no_region(cascade, rgb, pictures):
    style = cascade.encode_style(pictures[0])
    everywhere = [Region(style, np.ones((80, 96), np.float32))]
    assert distance(paint(cascade, rgb, everywhere), paint(cascade, rgb, style)) < 0.01


def whitened(features, ridge):
    mean, covariance = moments(features)
    return (features - mean) @ power(regular(covariance, ridge), -0.5)


def swapped(pipeline, rgb, pictures, weights, swap, patch=3):
    """The picture that swapping at level 5 gives: whitened each by itself, swapped, coloured by the mixture."""
    content, *styles = (features_of(pipeline, picture, 5) for picture in (rgb, *pictures))
    flat = whitened(content, pipeline.ridge)
    chosen = sum(
        weight
        * style_swap.swap_patches(
            tf.constant(flat, tf.float32), tf.constant(whitened(style, pipeline.ridge), tf.float32), patch
        ).numpy()
        for weight, style in zip(weights, styles)
    )
    mean, covariance = (sum(w * part for w, part in zip(weights, parts)) for parts in zip(*map(moments, styles)))
    coloured = (swap * chosen + (1 - swap) * flat) @ power(covariance, 0.5) + mean
    return pipeline.network.decode_image({5: tf.constant(coloured, tf.float32)})


@pytest.mark.parametrize("swap", [1.0, 0.4])
@pytest.mark.parametrize("patch", [1, 3])
def test_swap_is_among_whitened_features_then_coloured(cascade, rgb, pictures, swap, patch):
    style = cascade.encode_style(pictures[0], 5)
    found = paint(cascade, rgb, style, levels=(5,), swap=swap, swap_patch=patch)
    assert distance(found, swapped(cascade, rgb, pictures[:1], [1.0], swap, patch)) < 0.03


def test_mixtures_patches_and_its_colouring_are_all_styles_by_their_shares(cascade, rgb, pictures):
    styles = [cascade.encode_style(picture, 5) for picture in pictures]
    found = paint(cascade, rgb, blend_styles(styles, [0.4, 0.6]), levels=(5,), swap=1.0)
    assert distance(found, swapped(cascade, rgb, pictures, [0.4, 0.6], 1.0)) < 0.03


@pytest.mark.parametrize("level", [2, 1])
def test_swapped_features_modulate_the_decoder_as_far_as_they_are_painted(live, rgb, pictures, level):
    """With hardly any strength, swapping is hardly seen in the rest of the decoder either."""
    style = live.encode_style(pictures[0], level)
    little = {"swap": 1.0, "swap_level": level, "swap_patch": 1, "levels": (2, 1)}
    before = paint(live, rgb, style, "live", strength=1e-5, levels=(2, 1))
    assert distance(paint(live, rgb, style, "live", strength=1e-5, **little), before) < 1e-3
    assert distance(paint(live, rgb, style, "live", strength=1.0, **little), before) > 0.1


def test_hardly_any_swap_is_nearly_whitening_and_colouring(cascade, rgb, pictures):
    style = cascade.encode_style(pictures[0], 5)
    assert distance(paint(cascade, rgb, style, swap=1e-4), paint(cascade, rgb, style)) < 0.05


def test_swap_leaves_the_other_levels_alone(cascade, rgb, pictures):
    style = cascade.encode_style(pictures[0], 4)
    alone = {"swap": 1.0, "swap_level": 4}
    first = tf.constant(paint(cascade, rgb, style, levels=(4,), **alone))
    expected = paint(cascade, first, style, levels=(3, 2))
    assert distance(paint(cascade, rgb, style, levels=(4, 3, 2), **alone), expected) < 1e-3


@pytest.mark.parametrize("small", ["content", "style"])
def test_patch_larger_than_the_features_is_refused_with_their_size(cascade, rgb, pictures, small):
    content, style = (rgb[:32, :64], pictures[0]) if small == "content" else (rgb, pictures[0][:32, :64])
    with pytest.raises(OptionError) as error:
        paint(cascade, content, cascade.encode_style(style, 5), swap=1.0)
    for part in ("swap_patch 3", "level 5", "4x2", "smaller"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert np.isfinite(paint(cascade, content, cascade.encode_style(style, 5), swap=1.0, swap_patch=1)).all()


def test_swap_that_needs_too_much_memory_is_refused_before_it_takes_it(cascade, rgb, pictures, monkeypatch):
    monkeypatch.setattr(style_swap, "MAX_SIMILARITIES", 2000)
    style = cascade.encode_style(pictures[0], 5)
    with pytest.raises(OptionError, match="swapping [0-9]+ patches at 30 positions .* swap_stride"):
        paint(cascade, rgb, style, swap=1.0)
    assert np.isfinite(paint(cascade, rgb, style, swap=1.0, swap_stride=4)).all()
