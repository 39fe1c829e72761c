"""The live model's network against a forward pass in numpy and against the Keras one that trains it."""

import numpy as np
import pytest
import tensorflow as tf
from references import WIDTHS, convolve, decode_features, decode_image, distance, encode, random_arrays

from ros_style_transfer.errors import WeightsError
from ros_style_transfer.models import shapes
from ros_style_transfer.models.layers import Convolutions
from ros_style_transfer.models.live import Live
from ros_style_transfer.transfer import wct
from ros_style_transfer.transfer.pipeline import TransferPipeline


@pytest.fixture(scope="module", params=[shapes.LIVE_BLOCKS, shapes.LITE_BLOCKS, (0, 1, 3)], ids=["live", "lite", "own"])
def blocks(request):
    return request.param


@pytest.fixture(scope="module")
def arrays(blocks):
    return random_arrays(blocks=blocks)


@pytest.fixture(scope="module")
def network(arrays, blocks):
    return Live(arrays, WIDTHS, blocks)


@pytest.fixture(scope="module")
def picture(scene):
    """A piece of the scene, 64x48, float32, 0..1."""
    return scene[30:78, 40:104].astype(np.float32) / 255


def noise_under(features, seed=2):
    """Noise at each level of the decoder of a picture with these ``{level: features}``."""
    rng, (height, width) = np.random.default_rng(seed), features[1].shape[:2]
    sides = {2: (height // 2, width // 2), 1: (height, width), 0: (2 * height, 2 * width)}
    return {level: np.float32(rng.normal(size=(*side, 1))) for level, side in sides.items()}


def decode(network, features, moments=None):
    """Decoded on noise, by default with the features' own moments: RGB."""
    moments = moments or {n: tf.nn.moments(tf.cast(f, tf.float32), (0, 1)) for n, f in features.items()}
    modulation, noise = network.modulation(moments), noise_under(features)
    decoded = network.decode_features(features, modulation[0], noise)
    return network.unfold(network.decode_image(decoded, modulation[1], noise))


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_layer_sees_zeros_around_the_picture_or_its_reflection(padding, stride):
    rng = np.random.default_rng(0)
    name = {"zero": "inner", "reflect": "stem"}[padding]
    arrays = {
        name + "_kernel": np.float32(rng.normal(size=(3, 3, 4, 5))),
        name + "_bias": np.float32(rng.normal(size=5)),
    }
    x = np.float32(rng.normal(size=(6, 8, 4)))
    expected = convolve(x, arrays, name, stride)
    if padding == "reflect" and stride == 2:
        pytest.skip("no layer of stride 2 reflects")
    for options in ({"padding": padding}, {"padding": "zero", "reflected": ("stem",)}):
        layers = Convolutions([(name, 3, stride, 4, 5)], arrays, "", tf.float32, **options)
        assert distance(layers(x[None], name, relu=False)[0], expected) < 1e-5
        assert distance(layers(x[None], name)[0], np.maximum(expected, 0)) < 1e-5
    gain, shift = np.float32(rng.normal(size=(2, 5)))
    assert (
        distance(layers(x[None], name, relu=False, modulation=(gain, shift))[0], expected * (1 + gain) + shift) < 1e-5
    )


@pytest.mark.parametrize("down, across", [(1, 1), (1, 3), (2, 1)])
def test_encoder_sees_what_numpy_sees(network, arrays, picture, down, across):
    picture = np.tile(picture, (down, across, 1))
    ours, expected = network.encode(tf.constant(picture)), encode(picture, arrays)
    assert sorted(ours) == [1, 2]
    for level, features in ours.items():
        side = network.stride(level)
        assert side == {1: 8, 2: 16}[level]
        assert features.shape == (48 * down // side, 64 * across // side, WIDTHS[level])
        assert distance(features, expected[level]) < 1e-5, level


def test_decoder_gives_the_picture_that_numpy_gives(network, arrays, blocks):
    rng = np.random.default_rng(1)
    values = {
        n: np.float32(rng.normal(rng.normal(), 0.5 + rng.random(), (12 // 2**n, 16 // 2**n, WIDTHS[n])))
        for n in shapes.ENCODER_LEVELS
    }
    features = {n: tf.constant(f) for n, f in values.items()}
    noise = noise_under(features)
    ours, (decoded, code) = decode(network, features), decode_features(values, arrays, blocks, noise)
    assert ours.dtype == tf.float32 and ours.shape == (48, 64, 3)
    modulation, _ = network.modulation({n: tf.nn.moments(f, (0, 1)) for n, f in features.items()})
    assert distance(network.decode_features(features, modulation, noise), decoded) < 1e-5
    assert distance(network.decode_features(features, modulation), decode_features(values, arrays, blocks)[0]) < 1e-5
    assert distance(ours, decode_image(decoded, code, arrays, blocks, noise)) < 1e-5
    # The statistics of the whole picture, of which these may be a piece.
    moments = {n: (f.mean((0, 1)) + 1, 2 * f.var((0, 1))) for n, f in values.items()}
    other = decode(network, features, {n: tuple(map(tf.constant, each)) for n, each in moments.items()})
    assert distance(other, ours) > 1e-3


def test_network_agrees_with_the_one_that_is_trained(picture, blocks):
    pytest.importorskip("keras", minversion="3.0", reason="the training's networks need Keras 3")
    from ros_style_transfer.training import live as training

    rng = np.random.default_rng(3)
    arrays = training.initial_arrays(rng, WIDTHS, blocks)
    for name in arrays:  # to begin with, the code modulates little and no bias does anything
        arrays[name] = arrays[name] + np.float32(rng.normal(0, 0.05, arrays[name].shape))
    network, trained = Live(arrays, WIDTHS, blocks), training.LiveNetwork(arrays, blocks)
    ours, encoded = network.encode(tf.constant(picture)), trained.encode(picture[None])
    for level, features in enumerate(encoded, 1):
        assert distance(ours[level][None], features) < 1e-5, level
    modulate = trained.modulation(encoded)
    noise = {level: plane[None] for level, plane in noise_under(ours).items()}
    expected = trained.decode_image(trained.decode_features(encoded, modulate, noise), modulate, noise)
    assert distance(decode(network, ours)[None], expected) < 1e-5


def test_styles_statistics_are_those_of_its_features(network, arrays, blocks, picture):
    found, expected = TransferPipeline(network).encode_style(picture).statistics, encode(picture, arrays)
    expected[shapes.DECODER_LEVEL] = decode_features(expected, arrays, blocks)[0]  # of the style itself
    expected[shapes.IMAGE_LEVEL] = picture.astype(np.float64)
    assert sorted(found) == [-1, 0, 1, 2]
    for level, features in expected.items():
        flat = features.reshape(-1, features.shape[-1])
        assert isinstance(found[level], wct.Statistics)
        assert distance(found[level].mean, flat.mean(0)) < 1e-5
        assert distance(found[level].covariance, np.cov(flat.T, bias=True)) < 1e-4


def test_all_levels_are_painted_in_one_round(network):
    assert network.rounds((2, 1, 0)) == [(2, 1, 0)]
    assert network.rounds((2, 0)) == [(2, 0)]


@pytest.mark.parametrize("height, width", [(32, 32), (32, 80), (96, 64)])
def test_sides_of_sixteens_come_back_as_they_were(network, height, width):
    rgb = decode(network, network.encode(tf.zeros((height, width, 3))))
    assert rgb.shape == (height, width, 3) and np.isfinite(rgb).all()


def changed(before, after, stride):
    """The first and the last row, and column, in pixels, where anything differs."""
    changes = np.abs(np.asarray(after) - before).max(-1) > 0
    spans = [np.flatnonzero(changes.any(axis)) * stride for axis in (1, 0)]
    return [(span.min(), span.max() + stride) for span in spans]


@pytest.mark.parametrize("place", [0, 7, 15])
def test_receptive_radii_are_exact_enough(network, place):
    """Tiles, which begin and end at multiples of 16, are read with margins of these radii; larger ones would waste
    time."""
    side, at = 384, 192 + place
    encoder_radius, decoder_radius = network.receptive_radii((2, 1, 0))
    tile = lambda pixel: (pixel // 16 * 16, pixel // 16 * 16 + 16)
    rgb = np.random.default_rng(0).random((side, side, 3), np.float32)
    dotted = rgb.copy()
    dotted[at, at] += 1.0
    before, after = network.encode(rgb), network.encode(dotted)
    for level in before:
        for low, high in changed(before[level], after[level], network.stride(level)):
            assert tile(high - 1)[0] - encoder_radius <= at < tile(low)[1] + encoder_radius
    moments = {level: tf.nn.moments(f, (0, 1)) for level, f in before.items()}
    radius = encoder_radius + decoder_radius
    images = [decode(network, features, moments) for features in (before, after)]
    for low, high in changed(*images, 1):
        assert tile(high - 1)[0] - radius <= at < tile(low)[1] + radius
        assert max(at - low, high - 1 - at) > 0.7 * radius


@pytest.mark.parametrize("dtype, bound", [(tf.bfloat16, 0.05), (tf.float16, 0.005)], ids=["bfloat16", "float16"])
def test_half_precision_computes_nearly_the_same(arrays, network, blocks, picture, dtype, bound):
    half = Live(arrays, WIDTHS, blocks, dtype)
    features = half.encode(tf.constant(picture))
    assert {f.dtype for f in features.values()} == {dtype}
    found, expected = decode(half, features), decode(network, network.encode(tf.constant(picture)))
    assert found.dtype == tf.float32
    assert 0 < distance(found, expected) < bound


@pytest.mark.parametrize(
    "name",
    [
        "stem_kernel",
        "encoder1a_bias",
        "decoder2_1b_kernel",
        "decoder0_0a_kernel",
        "up2_kernel",
        "style_code_kernel",
        "modulation_bias",
        "image_bias",
    ],
)
def test_missing_and_misshapen_arrays_are_named(name):
    arrays = random_arrays()
    with pytest.raises(WeightsError, match=name + ".* nothing"):
        Live({key: value for key, value in arrays.items() if key != name}, WIDTHS)
    cut = arrays[name][..., :-1]
    with pytest.raises(WeightsError) as error:
        Live(dict(arrays, **{name: cut}), WIDTHS)
    assert name in str(error.value) and str(cut.shape) in str(error.value)
