"""The live model's network against a forward pass in numpy and against the Keras one that trains it."""
import numpy as np
import pytest
import tensorflow as tf
from references import WIDTHS, draw, encode, finish, random_arrays

from ros_style_transfer.errors import WeightsError
from ros_style_transfer.models import shapes
from ros_style_transfer.models.canvas import CANVAS_SIDE, canvas
from ros_style_transfer.models.live import Live
from ros_style_transfer.transfer import wct
from ros_style_transfer.transfer.pipeline import Painter

CANVAS_BEGINS = (1.41431, 1.07988, 0.94770, 0.84074)


@pytest.fixture(scope="module", params=[shapes.LIVE_PAIRS, shapes.LITE_PAIRS], ids=["live", "lite"])
def pairs(request):
    return request.param


@pytest.fixture(scope="module")
def arrays(pairs):
    return random_arrays(pairs=pairs)


@pytest.fixture(scope="module")
def network(arrays, pairs):
    return Live(arrays, WIDTHS, pairs)


@pytest.fixture(scope="module")
def picture(scene):
    """A piece of the scene, 64x48, float32, 0..1."""
    return scene[30:78, 40:104].astype(np.float32) / 255


def relative(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def decode(network, features, moments=None):
    """Drawn and finished, by default with the features' own moments."""
    moments = moments or {n: tf.nn.moments(tf.cast(f, tf.float32), (0, 1)) for n, f in features.items()}
    drawing, finishing = network.code(moments)
    return network.finish(network.draw(features, drawing), finishing)


@pytest.mark.parametrize("down, across", [(1, 1), (1, 18), (24, 1)], ids=["small", "wider", "higher than the canvas"])
def test_encoder_sees_what_numpy_sees(network, arrays, picture, down, across):
    picture = np.tile(picture, (down, across, 1))
    ours, expected = network.encode(tf.constant(picture), (3, 2, 1)), encode(picture, arrays)
    assert sorted(ours) == [1, 2, 3]
    for level, features in ours.items():
        side = 2 ** (level + 1)
        assert features.shape == (48 * down // side, 64 * across // side, WIDTHS[level])
        assert relative(features, expected[level]) < 1e-4, level  # a variance from squares


def test_encoder_goes_no_deeper_than_it_must(network, pairs, picture):
    """What only the style is looked at for (`lite`) costs nothing in a frame."""
    found = network.encode(tf.constant(picture), (1,))
    assert sorted(found) == {shapes.LIVE_PAIRS: [1, 2, 3], shapes.LITE_PAIRS: [1]}[pairs]
    assert all(np.array_equal(found[level], network.encode(tf.constant(picture), (3,))[level]) for level in found)


def test_decoder_gives_the_picture_that_numpy_gives(network, arrays, pairs):
    rng = np.random.default_rng(1)
    taps = {n: np.float32(rng.normal(rng.normal(), 0.5 + rng.random(), (24 // 2**n, 32 // 2**n, WIDTHS[n])))
            for n in shapes.LIVE_TAPS}
    features = {n: tf.constant(f) for n, f in taps.items()}
    ours, (drawn, told) = decode(network, features), draw(taps, arrays, pairs)
    assert ours.dtype == tf.float32
    drawing, _ = network.code({n: tf.nn.moments(f, (0, 1)) for n, f in features.items()})
    assert relative(network.draw(features, drawing), drawn) < 1e-5
    assert relative(ours, finish(drawn, told, arrays)) < 1e-5
    # The statistics of the whole picture, of which these may be a piece.
    moments = {n: (f.mean((0, 1)) + 1, 2 * f.var((0, 1))) for n, f in taps.items()}
    other = decode(network, features, {n: tuple(map(tf.constant, each)) for n, each in moments.items()})
    assert relative(other, ours) > 1e-3


def test_network_agrees_with_the_one_that_is_trained(picture, pairs):
    pytest.importorskip("keras", minversion="3.0", reason="the training's networks need Keras 3")
    from ros_style_transfer.training import live as training

    rng = np.random.default_rng(3)
    arrays = training.live_arrays(rng, pairs=pairs)
    for name in arrays:  # to begin with, the code drives little and no bias does anything
        arrays[name] = arrays[name] + np.float32(rng.normal(0, 0.05, arrays[name].shape))
    network, trained = Live(arrays, shapes.LIVE_WIDTHS, pairs), training.LiveNetwork(arrays, pairs)
    grain = canvas()[None, :48, :64, None]
    ours, taps = network.encode(tf.constant(picture), (3, 2, 1)), trained.encode(picture[None], grain)
    for level, features in enumerate(taps, 1):
        assert relative(ours[level][None], features) < 1e-4, level
    assert relative(decode(network, ours)[None], trained.decode(taps)) < 1e-4


def test_styles_statistics_are_those_of_its_features(network, arrays, pairs, picture):
    found, seen = Painter(network).style_of(picture).statistics, encode(picture, arrays, on_canvas=False)
    seen[shapes.DRAWN] = draw(seen, arrays, pairs)[0]  # what the decoder makes of the style itself
    assert sorted(found) == [0, 1, 2, 3]
    for level, features in seen.items():
        flat = features.reshape(-1, features.shape[-1])
        assert isinstance(found[level], wct.Statistics)
        assert relative(found[level].mean, flat.mean(0)) < 1e-5
        assert relative(found[level].covariance, np.cov(flat.T, bias=True)) < 1e-4


def test_canvas_is_noise_of_strokes_sizes_without_a_seam_and_always_the_same():
    grain, side = canvas(), CANVAS_SIDE
    assert grain.dtype == np.float32 and grain.shape == (side, side)
    assert abs(grain.mean()) < 1e-3 and grain.std() == pytest.approx(1, abs=1e-3)
    assert np.array_equal(grain, canvas())
    # Weights are trained on these very numbers.
    assert np.allclose(grain[0, :4], CANVAS_BEGINS, atol=1e-4)
    power = np.abs(np.fft.fft2(grain)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    octaves = [power[(frequency >= low) & (frequency < 2 * low)].sum() / power.sum() for low in 2.0 ** -np.arange(2, 9)]
    assert octaves[0] < 0.01, "nothing finer than four pixels"
    assert all(share == pytest.approx(1 / 6, rel=0.5) for share in octaves[1:]), octaves
    steps = lambda a, b: np.abs(a - b).mean()
    assert steps(grain[0], grain[-1]) < 2 * steps(grain[1:], grain[:-1])


def test_all_levels_are_painted_in_one_round(network):
    assert network.rounds((3, 2, 1)) == [(3, 2, 1)]
    assert network.rounds((3, 1)) == [(3, 1)]


@pytest.mark.parametrize("height, width", [(32, 32), (32, 80), (96, 64)])
def test_sides_of_sixteens_come_back_as_they_were(network, height, width):
    features = network.encode(tf.zeros((height, width, 3)), (3, 2, 1))
    rgb = decode(network, features)
    assert rgb.shape == (height, width, 3) and np.isfinite(rgb).all()


@pytest.mark.parametrize("dtype, bound", [(tf.bfloat16, 0.05), (tf.float16, 0.005)], ids=["bfloat16", "float16"])
def test_half_precision_computes_nearly_the_same(arrays, network, pairs, picture, dtype, bound):
    half = Live(arrays, WIDTHS, pairs, dtype)
    features = half.encode(tf.constant(picture), (3,))
    assert {f.dtype for f in features.values()} == {dtype}
    found, expected = decode(half, features), decode(network, network.encode(tf.constant(picture), (3,)))
    assert found.dtype == tf.float32
    assert 0 < relative(found, expected) < bound


@pytest.mark.parametrize("name", [
    "encoder0_kernel", "encoder3a_bias", "decoder3b_kernel", "decoder1d_kernel", "up2_kernel", "code0_kernel",
    "image_bias"])
def test_missing_and_misshapen_arrays_are_named(name):
    arrays = random_arrays()
    with pytest.raises(WeightsError, match=name + ".* nothing"):
        Live({key: value for key, value in arrays.items() if key != name}, WIDTHS)
    cut = arrays[name][..., :-1]
    with pytest.raises(WeightsError) as error:
        Live(dict(arrays, **{name: cut}), WIDTHS)
    assert name in str(error.value) and str(cut.shape) in str(error.value)
