"""The transform against the paper's formulas (Li et al. 2017, equations 3 and 4) in numpy's float64."""
import numpy as np
import pytest
import tensorflow as tf

from ros_style_transfer import wct

CHANNELS = 24


def features(seed, height=20, width=30, channels=CHANNELS, offset=2.0):
    """Correlated features of about unit variance whose covariance is far from singular."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(rng.normal(size=(channels, channels)))[0] * rng.uniform(0.7, 1.4, channels)
    values = rng.normal(size=(height * width, channels)) @ mix + rng.normal(offset, 1.0, channels)
    return values.reshape(height, width, channels).astype(np.float32)


def moments(array):
    """Mean and covariance over positions, float64."""
    flat = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
    centred = flat - flat.mean(0)
    return flat.mean(0), centred.T @ centred / len(flat)


def paper(content, style, ridge=0.0):
    """Whitening ``E D^-1/2 E^T`` and colouring ``E D^1/2 E^T`` with the style's mean added."""
    content_mean, content_covariance = moments(content)
    style_mean, style_covariance = moments(style)
    content_covariance += ridge * np.trace(content_covariance) / len(content_mean) * np.eye(len(content_mean))
    e, d, _ = np.linalg.svd(content_covariance)
    whitened = e @ np.diag(d**-0.5) @ e.T @ (content.reshape(-1, len(content_mean)) - content_mean).T
    e, d, _ = np.linalg.svd(style_covariance)
    coloured = e @ np.diag(d**0.5) @ e.T @ whitened
    return (coloured.T + style_mean).reshape(content.shape)


def distance(a, b):
    """Relative Frobenius distance."""
    return np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b)


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


@pytest.mark.parametrize("exponent", [0.5, -0.5])
def test_root_squared_is_the_matrix_or_its_inverse(content, exponent):
    _, covariance = moments(content)
    root = wct.root(tf.constant(covariance, tf.float32), exponent).numpy().astype(np.float64)
    assert distance(root @ root, covariance if exponent > 0 else np.linalg.inv(covariance)) < 1e-4
    assert distance(root, root.T) < 1e-5


def test_roots_ridge_is_a_share_of_the_mean_eigenvalue(content):
    _, covariance = moments(content)
    root = wct.root(tf.constant(covariance, tf.float32), 0.5, ridge=0.1).numpy().astype(np.float64)
    expected = covariance + 0.1 * np.linalg.eigvalsh(covariance).mean() * np.eye(CHANNELS)
    assert distance(root @ root, expected) < 1e-4


def test_root_counts_eigenvalues_below_zero_as_zero():
    root = wct.root(tf.constant(np.diag([4.0, 1.0, -1e-3]).astype(np.float32)), 0.5).numpy()
    assert np.allclose(root, np.diag([2.0, 1.0, 0.0]), atol=1e-3)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.1])
def test_transform_is_the_papers(content, style, ridge):
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style)), 1.0, ridge)
    assert distance(result, paper(content, style, ridge)) < 1e-4


def test_output_has_the_styles_mean_and_covariance(content, style):
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style)), ridge=0.0).numpy()
    mean, covariance = moments(result)
    style_mean, style_covariance = moments(style)
    assert distance(mean, style_mean) < 1e-3
    assert distance(covariance, style_covariance) < 1e-3


def test_default_ridge_costs_well_conditioned_features_little(content, style):
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style))).numpy()
    # The ridge shrinks a direction by its share of the mean variance: here 1e-3, times 2 at most.
    assert distance(moments(result)[1], moments(style)[1]) < 3e-3


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_strength_blends_transform_and_input_linearly(content, style, strength):
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style)), strength, 0.0)
    assert distance(result, strength * paper(content, style) + (1 - strength) * content) < 1e-4


def test_affine_map_is_the_transform_as_one_matrix_and_vector(content, style):
    affine = wct.affine_map(tf.constant(content), wct.style_of(tf.constant(style)), 0.6, 0.0)
    expected = 0.6 * paper(content, style) + 0.4 * content
    assert distance((content - affine.centre.numpy()) @ affine.matrix.numpy() + affine.offset.numpy(), expected) < 1e-4


def test_scale_of_the_content_does_not_matter(content, style):
    style = wct.style_of(tf.constant(style))
    result = wct.transform(tf.constant(content), style).numpy()
    assert distance(wct.transform(tf.constant(1000 * content), style), result) < 1e-4


def test_scale_of_the_style_becomes_the_outputs(content, style):
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style))).numpy()
    scaled = wct.transform(tf.constant(content), wct.style_of(tf.constant(1000 * style)))
    assert distance(scaled, 1000 * result) < 1e-4


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16], ids=lambda t: t.name)
@pytest.mark.parametrize("value", [0.0, 0.37, 5.0])
def test_constant_content_becomes_the_styles_mean(style, dtype, value):
    flat = tf.cast(tf.fill((8, 10, CHANNELS), value), dtype)
    result = tf.cast(wct.transform(flat, wct.style_of(tf.constant(style))), tf.float32).numpy()
    # bfloat16 holds 8 bits: 0.4 % of the largest mean, which is about 5.
    assert np.abs(result - moments(style)[0]).max() < 0.03


def test_constant_style_gives_its_value_everywhere(content):
    colour = np.linspace(0, 3, CHANNELS).astype(np.float32)
    style = np.broadcast_to(colour, (6, 7, CHANNELS))
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style))).numpy()
    assert np.abs(result - colour).max() < 1e-2


@pytest.mark.parametrize("positions", [1, 2, 6])
def test_fewer_positions_than_channels_never_exceed_the_styles_variance(style, positions):
    content = features(5, 1, positions)
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style))).numpy()
    mean, covariance = moments(result)
    style_mean, style_covariance = moments(style)
    assert np.isfinite(result).all()
    assert distance(mean, style_mean) < 1e-3
    # Whitened variance is 1 or, where the content has none, less: colouring cannot give more than the style's.
    assert (np.diag(covariance) <= 1.01 * np.diag(style_covariance)).all()


def test_style_with_fewer_positions_than_channels_passes_on_its_statistics(content):
    style = features(6, 2, 4)
    result = wct.transform(tf.constant(content), wct.style_of(tf.constant(style)), ridge=0.0).numpy()
    assert distance(moments(result)[0], moments(style)[0]) < 1e-3
    assert distance(moments(result)[1], moments(style)[1]) < 2e-3


@pytest.mark.parametrize("dtype, bound", [(tf.bfloat16, 2e-2), (tf.float16, 2e-3)], ids=["bfloat16", "float16"])
def test_half_precision_keeps_its_type_and_the_value(content, style, dtype, bound):
    result = wct.transform(tf.cast(tf.constant(content), dtype), wct.style_of(tf.constant(style)))
    assert result.dtype == dtype
    # The types hold 8 and 11 bits: a few roundings of 2^-9 and 2^-12 each.
    assert distance(tf.cast(result, tf.float32), paper(content, style, wct.RIDGE)) < bound
