"""The live model's network against a forward pass in numpy and against the Keras one that trains it."""
import numpy as np
import pytest
import tensorflow as tf

from ros_style_transfer import architecture, wct
from ros_style_transfer.errors import WeightsError
from ros_style_transfer.live import Live

MEAN = np.array([123.68, 116.779, 103.939]) / 255
WIDTHS = (6, 8, 10, 12)


def random_arrays(widths=WIDTHS, seed=0):
    """Weights that let everything through at about its own scale; no bias is zero."""
    rng, arrays = np.random.default_rng(seed), {}
    for name, (side, _, channels, width) in architecture.live_layers(widths).items():
        shape = (side, side, channels, width)
        arrays[name + "_kernel"] = np.float32(rng.normal(0, np.sqrt(2 / (side * side * channels)), shape))
        arrays[name + "_bias"] = np.float32(rng.normal(0, 0.1, width))
    return arrays


@pytest.fixture(scope="module")
def arrays():
    return random_arrays()


@pytest.fixture(scope="module")
def network(arrays):
    return Live(arrays, WIDTHS)


@pytest.fixture(scope="module")
def picture(scene):
    """A piece of the scene, 64x48, float32, 0..1."""
    return scene[30:78, 40:104].astype(np.float32) / 255


def relative(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def convolve(x, arrays, name, stride=1):
    """A convolution of ``x [h, w, in]``, reflected at its borders, an offset of the kernel at a time."""
    kernel, bias = (arrays[name + part].astype(np.float64) for part in ("_kernel", "_bias"))
    side = kernel.shape[0]
    padded = np.pad(x, ((side // 2, side // 2), (side // 2, side // 2), (0, 0)), "reflect")
    height, width = x.shape[:2]
    return bias + sum(padded[dy : dy + height : stride, dx : dx + width : stride] @ kernel[dy, dx]
                      for dy in range(side) for dx in range(side))


def relu(x):
    return np.maximum(x, 0)


def encode(rgb, arrays):
    """`Live.encode` as `architecture.live_layers` tells it."""
    x = rgb.astype(np.float64) - MEAN
    folded = np.concatenate([x[dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)], -1)
    taps = {1: convolve(relu(convolve(folded, arrays, "encoder0")), arrays, "encoder1", 2)}
    for n in (2, 3):
        inner = relu(convolve(relu(taps[n - 1]), arrays, "encoder%da" % n, 2))
        taps[n] = convolve(inner, arrays, "encoder%db" % n)
    return taps


def unfold(x):
    """Depth to space: a quarter of the channels for each of the four pixels that a position becomes."""
    rgb, width = np.empty((2 * x.shape[0], 2 * x.shape[1], x.shape[2] // 4)), x.shape[2] // 4
    for n, (dy, dx) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        rgb[dy::2, dx::2] = x[..., width * n : width * (n + 1)]
    return rgb


def decode(taps, arrays):
    taps = {n: f.astype(np.float64) for n, f in taps.items()}
    code = np.concatenate([f.mean((0, 1)) for _, f in sorted(taps.items())]
                          + [np.sqrt(f.var((0, 1)) + 1e-5) for _, f in sorted(taps.items())])
    driven = code @ arrays["code_kernel"][0, 0] + arrays["code_bias"]

    def modulated(x, layer):
        nonlocal driven
        gain, bias, driven = np.split(driven, [x.shape[-1], 2 * x.shape[-1]])
        return relu(convolve(x, arrays, layer) * (1 + gain) + bias)

    x = taps[3]
    for n in (3, 2, 1):
        inner = modulated(relu(x), "decoder%da" % n)
        x = convolve(relu(x + convolve(inner, arrays, "decoder%db" % n)), arrays, "up%d" % n)
        if n > 1:
            x = x.repeat(2, 0).repeat(2, 1) + taps[n - 1]
    x = modulated(relu(unfold(x)), "decoder0")
    assert not driven.size
    return unfold(convolve(x, arrays, "image")) + MEAN


def test_encoder_sees_what_numpy_sees(network, arrays, picture):
    ours, expected = network.encode(tf.constant(picture), network.rounds((3, 2, 1))[0]), encode(picture, arrays)
    assert sorted(ours) == [1, 2, 3]
    for level, features in ours.items():
        assert features.shape == (48 // 2 ** (level + 1), 64 // 2 ** (level + 1), WIDTHS[level])
        assert relative(features, expected[level]) < 1e-5, level


def test_decoder_gives_the_picture_that_numpy_gives(network, arrays):
    rng = np.random.default_rng(1)
    taps = {n: np.float32(rng.normal(rng.normal(), 0.5 + rng.random(), (24 // 2**n, 32 // 2**n, WIDTHS[n])))
            for n in architecture.LIVE_TAPS}
    ours = network.decode({n: tf.constant(f) for n, f in taps.items()})
    assert ours.dtype == tf.float32
    assert relative(ours, decode(taps, arrays)) < 1e-5


def test_network_agrees_with_the_one_that_is_trained(picture):
    pytest.importorskip("keras", minversion="3.0", reason="the training's networks need Keras 3")
    from ros_style_transfer.training import live as training

    rng = np.random.default_rng(3)
    arrays = training.live_arrays(rng)
    for name in arrays:  # to begin with, the code drives little and no bias does anything
        arrays[name] = arrays[name] + np.float32(rng.normal(0, 0.05, arrays[name].shape))
    network, trained = Live(arrays, architecture.LIVE_WIDTHS), training.LiveNetwork(arrays)
    ours, taps = network.encode(tf.constant(picture), (3, 2, 1)), trained.encode(picture[None])
    for level, features in enumerate(taps, 1):
        assert relative(ours[level][None], features) < 1e-4, level
    assert relative(network.decode(ours)[None], trained.decode(taps)) < 1e-4


def test_styles_statistics_are_those_of_its_features(network, arrays, picture):
    found = network.style_of(tf.constant(picture))
    assert sorted(found) == [1, 2, 3]
    for level, features in encode(picture, arrays).items():
        flat = features.reshape(-1, features.shape[-1])
        assert isinstance(found[level], wct.Statistics)
        assert relative(found[level].mean, flat.mean(0)) < 1e-5
        assert relative(found[level].covariance, np.cov(flat.T, bias=True)) < 1e-4


def test_all_levels_are_painted_in_one_round(network):
    assert network.rounds((3, 2, 1)) == [(3, 2, 1)]
    assert network.rounds((3, 1)) == [(3, 1)]


@pytest.mark.parametrize("height, width", [(32, 32), (32, 80), (96, 64)])
def test_sides_of_sixteens_come_back_as_they_were(network, height, width):
    features = network.encode(tf.zeros((height, width, 3)), (3, 2, 1))
    rgb = network.decode(features)
    assert rgb.shape == (height, width, 3) and np.isfinite(rgb).all()


@pytest.mark.parametrize("dtype, bound", [(tf.bfloat16, 0.05), (tf.float16, 0.005)], ids=["bfloat16", "float16"])
def test_half_precision_computes_nearly_the_same(arrays, network, picture, dtype, bound):
    half = Live(arrays, WIDTHS, dtype)
    features = half.encode(tf.constant(picture), (3,))
    assert {f.dtype for f in features.values()} == {dtype}
    found, expected = half.decode(features), network.decode(network.encode(tf.constant(picture), (3,)))
    assert found.dtype == tf.float32
    assert 0 < relative(found, expected) < bound


@pytest.mark.parametrize("name", [
    "encoder0_kernel", "encoder3a_bias", "decoder3b_kernel", "up2_kernel", "code_kernel", "image_bias"])
def test_missing_and_misshapen_arrays_are_named(arrays, name):
    with pytest.raises(WeightsError, match=name + ".* nothing"):
        Live({key: value for key, value in arrays.items() if key != name}, WIDTHS)
    cut = arrays[name][..., :-1]
    with pytest.raises(WeightsError) as error:
        Live(dict(arrays, **{name: cut}), WIDTHS)
    assert name in str(error.value) and str(cut.shape) in str(error.value)
