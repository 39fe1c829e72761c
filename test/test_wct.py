"""The transforms against their papers' formulas in numpy's float64: Li et al. 2017 (equations 3 and 4), the optimal
transport between normal distributions (Knott & Smith 1984), AdaIN (Huang & Belongie 2017), style swap (Chen &
Schmidt 2016)."""

import numpy as np
import pytest
import tensorflow as tf
from references import closed_form, distance, moments, power, regular

from ros_style_transfer.transfer import style_swap, wct

CHANNELS = 24
STYLED = ("wct", "ot", "adain")
METHODS = STYLED + ("whiten",)


def features(seed, height=20, width=30, channels=CHANNELS, offset=2.0):
    """Correlated features of about unit variance whose covariance is far from singular."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(rng.normal(size=(channels, channels)))[0] * rng.uniform(0.7, 1.4, channels)
    values = rng.normal(size=(height * width, channels)) @ mix + rng.normal(offset, 1.0, channels)
    return values.reshape(height, width, channels).astype(np.float32)


def paper(content, style, ridge=0.0):
    """Whitening ``E D^-1/2 E^T`` and colouring ``E D^1/2 E^T`` with the style's mean added."""
    content_mean, content_covariance = moments(content)
    style_mean, style_covariance = moments(style)
    e, d, _ = np.linalg.svd(regular(content_covariance, ridge))
    whitened = e @ np.diag(d**-0.5) @ e.T @ (content.reshape(-1, len(content_mean)) - content_mean).T
    e, d, _ = np.linalg.svd(style_covariance)
    coloured = e @ np.diag(d**0.5) @ e.T @ whitened
    return (coloured.T + style_mean).reshape(content.shape)


def correlations(array):
    return np.corrcoef(np.asarray(array, np.float64).reshape(-1, array.shape[-1]).T)


def affine_map(content, style, method="wct", strength=1.0, ridge=wct.RIDGE):
    pair = [wct.statistics(tf.constant(f)) for f in (content, style)]
    return wct.affine_map(*pair, method, strength, ridge)


def transform(content, style, method="wct", strength=1.0, ridge=wct.RIDGE, dtype=tf.float32):
    """``content`` with the statistics of ``style``, by the map of ``method``; a tensor."""
    content = tf.cast(tf.constant(content), dtype)
    affine = wct.affine_map(wct.statistics(content), wct.statistics(tf.constant(style)), method, strength, ridge)
    return wct.apply(affine, content)


@pytest.fixture
def content():
    return features(1)


@pytest.fixture
def style():
    return features(2, 25, 17)


def test_statistics_are_mean_and_covariance_over_positions(content):
    mean, covariance = wct.statistics(tf.constant(content))
    expected_mean, expected_covariance = moments(content)
    assert distance(mean, expected_mean) < 1e-5
    assert distance(covariance, expected_covariance) < 1e-5


def test_weighted_statistics_are_numpys(content):
    weights = np.random.default_rng(0).uniform(0, 3, content.shape[:2]).astype(np.float32)
    mean, covariance = wct.statistics(tf.constant(content), tf.constant(weights))
    flat = content.reshape(-1, CHANNELS).astype(np.float64)
    assert distance(mean, np.average(flat, axis=0, weights=weights.ravel())) < 1e-5
    assert distance(covariance, np.cov(flat.T, aweights=weights.ravel(), bias=True)) < 1e-5


def test_weights_of_none_and_one_are_the_statistics_of_a_subset(content):
    inside = np.random.default_rng(0).random(content.shape[:2]) < 0.3
    weighted = wct.statistics(tf.constant(content), tf.constant(np.float32(inside)))
    for found, expected in zip(weighted, moments(content[inside])):
        assert distance(found, expected) < 1e-5


def test_weights_scale_does_not_matter(content):
    weights = np.random.default_rng(0).uniform(0, 1, content.shape[:2]).astype(np.float32)
    for found, expected in zip(*(wct.statistics(tf.constant(content), tf.constant(w)) for w in (weights, 7 * weights))):
        assert distance(found, expected) < 1e-5


@pytest.mark.parametrize("exponent", [0.5, -0.5])
def test_root_squared_is_the_matrix_or_its_inverse(content, exponent):
    _, covariance = moments(content)
    root = wct.matrix_power(tf.constant(covariance, tf.float32), exponent).numpy().astype(np.float64)
    assert distance(root @ root, covariance if exponent > 0 else np.linalg.inv(covariance)) < 1e-4
    assert distance(root, root.T) < 1e-5


def test_roots_ridge_is_a_share_of_the_mean_eigenvalue(content):
    _, covariance = moments(content)
    root = wct.matrix_power(tf.constant(covariance, tf.float32), 0.5, ridge=0.1).numpy().astype(np.float64)
    expected = covariance + 0.1 * np.linalg.eigvalsh(covariance).mean() * np.eye(CHANNELS)
    assert distance(root @ root, expected) < 1e-4


def test_root_counts_eigenvalues_below_zero_as_zero():
    root = wct.matrix_power(tf.constant(np.diag([4.0, 1.0, -1e-3]).astype(np.float32)), 0.5).numpy()
    assert np.allclose(root, np.diag([2.0, 1.0, 0.0]), atol=1e-3)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.1])
def test_transform_is_the_papers(content, style, ridge):
    assert distance(transform(content, style, ridge=ridge), paper(content, style, ridge)) < 1e-4


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.1])
@pytest.mark.parametrize("method", METHODS)
def test_every_methods_matrix_is_its_closed_form(content, style, method, ridge):
    matrix = affine_map(content, style, method, ridge=ridge).matrix
    assert distance(matrix, closed_form(method, content, style, ridge)) < 1e-4


@pytest.mark.parametrize("method", ["wct", "ot"])
def test_output_has_the_styles_mean_and_covariance(content, style, method):
    mean, covariance = moments(transform(content, style, method, ridge=0.0).numpy())
    style_mean, style_covariance = moments(style)
    assert distance(mean, style_mean) < 1e-3
    assert distance(covariance, style_covariance) < 1e-3


@pytest.mark.parametrize("method", ["wct", "ot"])
def test_default_ridge_costs_well_conditioned_features_little(content, style, method):
    result = transform(content, style, method).numpy()
    # The ridge shrinks a direction by its share of the mean variance: here 1e-3, times 2 at most.
    assert distance(moments(result)[1], moments(style)[1]) < 3e-3


def test_adain_gives_the_styles_deviations_and_keeps_the_contents_correlations(content, style):
    result = transform(content, style, "adain", ridge=0.0).numpy()
    style_mean, style_covariance = moments(style)
    mean, covariance = moments(result)
    assert distance(mean, style_mean) < 1e-5
    assert distance(np.diag(covariance), np.diag(style_covariance)) < 1e-4
    assert distance(correlations(result), correlations(content)) < 1e-4
    assert distance(covariance, style_covariance) > 0.1  # it is no full transform


def test_whitened_features_are_isotropic_about_the_contents_mean(content, style):
    mean, covariance = moments(transform(content, style, "whiten", ridge=0.0).numpy())
    content_mean, content_covariance = moments(content)
    assert distance(mean, content_mean) < 1e-5
    assert distance(covariance, np.trace(content_covariance) / CHANNELS * np.eye(CHANNELS)) < 1e-4


def test_whitening_does_not_look_at_the_style(content, style):
    for a, b in zip(affine_map(content, style, "whiten"), affine_map(content, 5 * style + 3, "whiten")):
        assert np.array_equal(a, b)


def test_transports_matrix_is_symmetric_and_positive(content, style):
    matrix = affine_map(content, style, "ot").matrix.numpy().astype(np.float64)
    assert distance(matrix, matrix.T) < 1e-5
    assert np.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0


def test_transport_moves_features_as_little_as_can_be_and_less_than_whitening_and_colouring():
    stretch = np.geomspace(0.3, 3, CHANNELS).astype(np.float32)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS)))[0].astype(np.float32)
    content, style = features(1) * stretch, features(2) * stretch @ turned
    style += moments(content)[0].astype(np.float32) - moments(style)[0].astype(np.float32)  # no method spares that way
    moved = {
        method: np.mean(np.square(transform(content, style, method, ridge=0.0) - content)) for method in ("wct", "ot")
    }
    # The least there is: the Wasserstein distance between the two normal distributions.
    own, target = moments(content)[1], moments(style)[1]
    half = power(own, 0.5)
    least = np.trace(own + target - 2 * power(half @ target @ half, 0.5))
    assert moved["ot"] == pytest.approx(least / CHANNELS, rel=1e-3)
    assert moved["wct"] > 1.03 * moved["ot"]


@pytest.mark.parametrize("method", STYLED)
def test_features_that_have_the_styles_statistics_already_stay(content, method):
    assert distance(transform(content, content, method, ridge=0.0), content) < 1e-4


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("method", METHODS)
def test_strength_blends_transform_and_input_linearly(content, style, method, strength):
    target = moments(content if method == "whiten" else style)[0]
    full = (content - moments(content)[0]) @ closed_form(method, content, style) + target
    result = transform(content, style, method, strength, ridge=0.0)
    assert distance(result, strength * full + (1 - strength) * content) < 1e-4


def test_affine_map_is_the_transform_as_one_matrix_and_vector(content, style):
    affine = affine_map(content, style, strength=0.6, ridge=0.0)
    expected = 0.6 * paper(content, style) + 0.4 * content
    assert distance((content - affine.centre.numpy()) @ affine.matrix.numpy() + affine.offset.numpy(), expected) < 1e-4


@pytest.mark.parametrize("method", STYLED)
def test_scale_of_the_content_does_not_matter(content, style, method):
    result = transform(content, style, method).numpy()
    assert distance(transform(1000 * content, style, method), result) < 1e-4


@pytest.mark.parametrize("method", STYLED)
def test_scale_of_the_style_becomes_the_outputs(content, style, method):
    result = transform(content, style, method).numpy()
    assert distance(transform(content, 1000 * style, method), 1000 * result) < 1e-4


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16], ids=lambda t: t.name)
@pytest.mark.parametrize("value", [0.0, 0.37, 5.0])
@pytest.mark.parametrize("method", STYLED)
def test_constant_content_becomes_the_styles_mean(style, method, dtype, value):
    flat = np.full((8, 10, CHANNELS), value, np.float32)
    result = tf.cast(transform(flat, style, method, dtype=dtype), tf.float32).numpy()
    # bfloat16 holds 8 bits: 0.4 % of the largest mean, which is about 5.
    assert np.abs(result - moments(style)[0]).max() < 0.03


@pytest.mark.parametrize("method", STYLED)
def test_constant_style_gives_its_value_everywhere(content, method):
    colour = np.linspace(0, 3, CHANNELS).astype(np.float32)
    style = np.broadcast_to(colour, (6, 7, CHANNELS))
    assert np.abs(transform(content, style, method).numpy() - colour).max() < 1e-2


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_whitening_leaves_constant_features_alone(value):
    flat = np.full((8, 10, CHANNELS), value, np.float32)
    assert np.abs(transform(flat, flat, "whiten").numpy() - value).max() < 1e-3


@pytest.mark.parametrize("positions", [1, 2, 6])
@pytest.mark.parametrize("method", STYLED)
def test_fewer_positions_than_channels_never_exceed_the_styles_variance(style, method, positions):
    content = features(5, 1, positions)
    result = transform(content, style, method).numpy()
    mean, covariance = moments(result)
    style_mean, style_covariance = moments(style)
    assert np.isfinite(result).all()
    assert distance(mean, style_mean) < 1e-3
    # The variance becomes the style's or, where the content has none, less.
    if method == "ot":  # along other directions than the channels': none of them is exceeded
        assert np.linalg.eigvalsh(style_covariance - covariance / 1.01).min() > -1e-3
    assert (np.diag(covariance) <= 1.01 * np.diag(style_covariance)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 4)])
@pytest.mark.parametrize("method", METHODS)
def test_tiny_styles_and_contents_stay_finite(method, shape):
    for content, style in (
        (features(5, *shape), features(6)),
        (features(5), features(6, *shape)),
        (features(5, *shape), features(6, *shape)),
    ):
        assert np.isfinite(transform(content, style, method).numpy()).all()


@pytest.mark.parametrize("method", ["wct", "ot"])
def test_style_with_fewer_positions_than_channels_passes_on_its_statistics(content, method):
    style = features(6, 2, 4)
    result = transform(content, style, method, ridge=0.0).numpy()
    assert distance(moments(result)[0], moments(style)[0]) < 1e-3
    assert distance(moments(result)[1], moments(style)[1]) < 2e-3


@pytest.mark.parametrize("dtype, bound", [(tf.bfloat16, 2e-2), (tf.float16, 2e-3)], ids=["bfloat16", "float16"])
def test_half_precision_keeps_its_type_and_the_value(content, style, dtype, bound):
    result = transform(content, style, dtype=dtype)
    assert result.dtype == dtype
    # The types hold 8 and 11 bits: a few roundings of 2^-9 and 2^-12 each.
    assert distance(tf.cast(result, tf.float32), paper(content, style, wct.RIDGE)) < bound


def test_blend_is_the_weighted_mean_of_mean_and_covariance(content, style):
    blended = wct.blend([wct.statistics(tf.constant(f)) for f in (content, style)], [0.25, 0.75])
    for found, a, b in zip(blended, moments(content), moments(style)):
        assert distance(found, 0.25 * a + 0.75 * b) < 1e-5


def swap_by_loops(content, style, patch, stride):
    """Style swap as Chen & Schmidt 2016 tell it, a patch at a time."""
    content, style = content.astype(np.float64), style.astype(np.float64)
    windows = lambda f, step: [
        (y, x) for y in range(0, f.shape[0] - patch + 1, step) for x in range(0, f.shape[1] - patch + 1, step)
    ]
    cut = lambda f, at: f[at[0] : at[0] + patch, at[1] : at[1] + patch]
    total, count = np.zeros_like(content), np.zeros(content.shape[:2] + (1,))
    for at in windows(content, 1):
        own = cut(content, at)
        choices = [cut(style, there) for there in windows(style, stride)]
        best = choices[np.argmax([np.sum(own * c) / np.linalg.norm(own) / np.linalg.norm(c) for c in choices])]
        cut(total, at)[...] += best
        cut(count, at)[...] += 1
    return total / count


@pytest.mark.parametrize("patch, stride", [(1, 1), (3, 1), (3, 2), (5, 1), (3, 4)])
def test_swap_is_the_papers_with_overlaps_averaged(patch, stride):
    content, style = features(1, 7, 9, 5, offset=0.0), features(2, 8, 6, 5, offset=0.0)
    result = style_swap.swap_patches(tf.constant(content), tf.constant(style), patch, stride)
    assert distance(result, swap_by_loops(content, style, patch, stride)) < 1e-5


def test_swapping_features_with_themselves_gives_them_back(content):
    for patch in (1, 3):
        assert distance(style_swap.swap_patches(tf.constant(content), tf.constant(content), patch), content) < 1e-5


def test_swap_of_single_positions_takes_the_styles_vector_of_largest_correlation(content, style):
    result = style_swap.swap_patches(tf.constant(content), tf.constant(style), 1).numpy().reshape(-1, CHANNELS)
    own, vectors = (f.reshape(-1, CHANNELS).astype(np.float64) for f in (content, style))
    likeness = (own / np.linalg.norm(own, axis=1, keepdims=True)) @ (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ).T
    chosen = np.linalg.norm(result[:, None] - vectors, axis=-1)
    assert chosen.min(1).max() < 1e-5  # each one is one of the style's
    reached = np.take_along_axis(likeness, chosen.argmin(1)[:, None], 1)[:, 0]
    assert (reached > likeness.max(1) - 1e-5).all()


def test_stride_leaves_out_the_styles_patches_between(content):
    style = features(2, 9, 9)
    result = style_swap.swap_patches(tf.constant(content), tf.constant(style), 1, 4).numpy().reshape(-1, CHANNELS)
    allowed = style[::4, ::4].reshape(-1, CHANNELS)
    assert np.linalg.norm(result[:, None] - allowed, axis=-1).min(1).max() < 1e-5


def test_loudness_of_a_styles_patch_does_not_make_it_more_alike():
    rng = np.random.default_rng(0)
    content = rng.normal(size=(4, 5, 6)).astype(np.float32)
    loud = 100 * rng.normal(size=(4, 5, 6)).astype(np.float32)
    style = np.concatenate([content, loud], 1)
    assert distance(style_swap.swap_patches(tf.constant(content), tf.constant(style), 1), content) < 1e-5


def test_swap_of_flat_features_stays_finite():
    zeros, others = tf.zeros((5, 6, CHANNELS)), tf.constant(features(1, 5, 6))
    for pair in ((zeros, zeros), (zeros, others), (others, zeros)):
        assert np.isfinite(style_swap.swap_patches(*pair).numpy()).all()
