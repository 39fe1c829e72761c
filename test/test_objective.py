"""The loss of Gatys et al. and its gradient, against numpy, the paper's formula and an independent implementation."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_scene
from PIL import Image

from ros_style_transfer.models import vgg, weights
from ros_style_transfer.render.objective import Objective, load_network
from ros_style_transfer.render.options import POOLINGS, PRESETS, STYLE_LOSSES, RenderOptions


def scene(width, height, seed=0):
    return np.float32(draw_scene(width, height, seed)) / 255


@pytest.fixture(scope="module")
def compact():
    return load_network("compact")


@pytest.fixture(scope="module")
def features():
    """(picture) to the compact network's features at relu1_1..relu5_1, as the cascade would see them; numpy."""
    arrays, entry = weights.load("compact")
    arrays = {"encoder_level%d_%s" % (level, key): value for key, value in arrays.items() for level in range(1, 6)}
    encoders = {level: vgg.Encoder(level, arrays, entry["backbone"], entry["widths"]) for level in range(1, 6)}
    return lambda rgb: {level: e.encode(tf.constant(rgb)[None]).numpy()[0] for level, e in encoders.items()}


def objective(network, content, style, tile=None, coverage=None, regions=None, **options):
    """The objective with the style taken at the five taps, unless ``options`` say something else."""
    taps = {"block%d_conv1" % level: 1.0 for level in range(1, 6)}
    made = Objective(network, RenderOptions(**dict({"style_layers": taps}, **options)))
    made.prepare(content, regions or [[(1.0, style)]], coverage, tile)
    return made


def gram_of(f):
    flat = f.reshape(-1, f.shape[-1]).astype(np.float64)
    return flat.T @ flat / len(flat)


def test_gram_loss_is_the_papers(compact, features):
    content, style, x = scene(64, 48), scene(80, 64, 1), scene(64, 48, 2)
    parts = objective(
        compact, content, style, style_loss="gram", relative=False, content_weight=2.0, style_weight=3.0, tv_weight=5.0
    )(x).parts
    grams = [(gram_of(features(x)[n]), gram_of(features(style)[n])) for n in range(1, 6)]
    assert parts["style"] == pytest.approx(3.0 * sum(((a - b) ** 2).sum() for a, b in grams), rel=1e-3)
    difference = features(x)[4] - features(content)[4]
    assert parts["content"] == pytest.approx(2.0 * (difference**2).mean(), rel=1e-3)
    slopes = (x[:-1, :-1] - x[1:, :-1]) ** 2 + (x[:-1, :-1] - x[:-1, 1:]) ** 2
    assert parts["tv"] == pytest.approx(5.0 * slopes.sum(-1).mean(), rel=1e-3)


def test_relative_losses_are_fractions(compact, features):
    content, style = scene(64, 48), scene(80, 64, 1)
    grey = np.full_like(content, 0.5)
    made = objective(compact, content, style, style_loss="gram", content_weight=1.0)
    # A picture without any structure misses all of the content's variance and more.
    f = features(content)[4].reshape(-1, 128).astype(np.float64)
    difference = features(grey)[4].reshape(-1, 128) - f
    assert made(grey).parts["content"] == pytest.approx((difference**2).mean() / f.var(0).mean(), rel=1e-2)
    expected = sum(
        ((gram_of(features(grey)[n]) - gram_of(features(style)[n])) ** 2).sum()
        / (gram_of(features(style)[n]) ** 2).sum()
        for n in range(1, 6)
    )
    assert made(grey).parts["style"] == pytest.approx(expected, rel=1e-3)


def test_w2_is_the_distance_of_two_normal_distributions(compact, features):
    content, style, x = scene(64, 48), scene(80, 64, 1), scene(64, 48, 2)
    found = objective(compact, content, style, style_loss="w2", relative=False)(x).parts["style"]

    def root(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    expected = 0.0
    for n in range(1, 6):
        a, b = (features(rgb)[n] for rgb in (x, style))
        a, b = (f.reshape(-1, f.shape[-1]).astype(np.float64) for f in (a, b))
        ca, cb = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
        expected += ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root(root(cb) @ ca @ root(cb)))
    assert found == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_a_picture_is_at_no_distance_from_itself(compact, style_loss):
    picture = scene(64, 48)
    made = objective(compact, picture, picture, style_loss=style_loss)
    assert made(picture).value < 1e-4 * made(np.full_like(picture, 0.5)).value


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_gradient_is_the_losses_slope(style_loss, pooling):
    network = load_network("compact", pooling=pooling)
    content, style, x = scene(64, 48), scene(80, 64, 1), scene(64, 48, 2)
    made = objective(network, content, style, style_loss=style_loss, tv_weight=1.0, tv_power=1.25)
    here = made(x)
    # Along the gradient, where the slope is steepest and rounding matters least.
    step = here.gradient / np.abs(here.gradient).max() * np.float32(0.002)
    slope = (made(x + step).value - made(x - step).value) / 2
    assert slope == pytest.approx(float((here.gradient * step).sum()), rel=0.05)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_tiles_change_nothing(compact, style_loss):
    content, style, x = scene(330, 250), scene(200, 180, 1), scene(330, 250, 2)
    whole = objective(compact, content, style, style_loss=style_loss)(x)
    tiled = objective(compact, content, style, tile=250, style_loss=style_loss)(x)
    assert tiled.value == pytest.approx(whole.value, rel=1e-3)
    assert np.abs(tiled.gradient - whole.gradient).max() < 0.01 * np.abs(whole.gradient).max()


def test_regions_have_each_their_own_style(compact):
    """The left half in one style, the right in another: the loss of halves that already look like that is small."""
    left, right = scene(128, 128, 1), 1.0 - scene(128, 128, 3)
    x = np.concatenate([left, right], 1)
    coverage = np.zeros((2, 128, 256), np.float32)
    coverage[0, :, :128], coverage[1, :, 128:] = 1, 1
    right_way = objective(compact, x, None, coverage=coverage, regions=[[(1.0, left)], [(1.0, right)]])(x)
    wrong_way = objective(compact, x, None, coverage=coverage, regions=[[(1.0, right)], [(1.0, left)]])(x)
    assert right_way.parts["style"] < 0.1 * wrong_way.parts["style"]
    tiled = objective(compact, x, None, tile=240, coverage=coverage, regions=[[(1.0, right)], [(1.0, left)]])(x)
    assert tiled.value == pytest.approx(wrong_way.value, rel=1e-3)
    assert np.abs(tiled.gradient - wrong_way.gradient).max() < 0.01 * np.abs(wrong_way.gradient).max()


def test_styles_are_mixed_by_their_weights(compact):
    content, a, b = scene(64, 64), scene(64, 64, 1), 1.0 - scene(64, 64, 3)
    at = lambda weights: objective(compact, content, None, regions=[list(zip(weights, (a, b)))])(a).parts["style"]
    assert at((1, 0)) < 1e-3 * at((0, 1))
    assert at((1, 0)) < at((0.75, 0.25)) < at((0.25, 0.75)) < at((0, 1))
    assert at((3, 1)) == pytest.approx(at((0.75, 0.25)), rel=1e-3)


def test_a_flat_content_leaves_the_style_room(compact):
    """Relative to a variance of nearly nothing, any texture would be a content loss without bounds."""
    flat, textured = np.full((64, 64, 3), 0.5, np.float32), scene(64, 64, 2)
    parts = objective(compact, flat, textured)(textured).parts
    assert parts["content"] < 5 * objective(compact, scene(64, 64), textured)(textured).parts["content"] / 0.037


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_flat_pictures_have_finite_losses_and_gradients(compact, style_loss):
    flat = np.full((48, 48, 3), 0.5, np.float32)
    for content, style, x in ((flat, flat, flat), (flat, scene(48, 48), flat), (scene(48, 48), flat, flat)):
        found = objective(compact, content, style, style_loss=style_loss, tv_weight=1.0, tv_power=1.25)(x)
        assert np.isfinite(found.value) and np.isfinite(found.gradient).all()


def test_the_seeds_objective_is_the_judges(teacher, judge, tmp_path):
    """The ancestor's loss on the same 512x512 pictures, by code that shares no line with ours."""
    pictures = {}
    for seed, name in enumerate(("content", "style", "x")):
        Image.fromarray(draw_scene(512, 512, seed)).save(str(tmp_path / (name + ".png")))
        pictures[name] = scene(512, 512, seed)
    expected = judge.seed_loss(judge.Vgg16(teacher), *(str(tmp_path / (name + ".png")) for name in pictures))
    network = load_network("vgg16", teacher)
    made = Objective(network, PRESETS["seed"])
    made.prepare(pictures["content"], [[(1.0, pictures["style"])]])
    found = made(pictures["x"])
    assert found.value == pytest.approx(expected["seed_loss"], rel=1e-3)
    for part in ("content", "style", "tv"):
        assert found.parts[part] == pytest.approx(expected[part], rel=1e-3)
    # The deepest layers hold a millionth: without them the rest is the same and comes in half the time.
    assert made.drop_negligible_layers(pictures["x"], 1e-3) == ["block4_conv3", "block5_conv3"]
    assert made(pictures["x"]).value == pytest.approx(expected["seed_loss"], rel=1e-3)
