"""The training: its pieces against numpy and the runtime, and a tiny run of each model from pictures to weights."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from conftest import REPOSITORY
from references import WIDTHS, power, random_arrays, regular

pytest.importorskip("keras", minversion="3.0", reason="the training needs Keras 3")

import keras

from ros_style_transfer.controls import Controls
from ros_style_transfer.errors import OptionError
from ros_style_transfer.media import images
from ros_style_transfer.models import canvas, shapes, weights
from ros_style_transfer.models.cascade import Cascade
from ros_style_transfer.models.live import Live
from ros_style_transfer.stylizer import Stylizer
from ros_style_transfer.training import (
    __main__,
    artifacts,
    calibrate,
    cascade,
    data,
    live,
    losses,
    networks,
    recipe,
    statistics,
)
from ros_style_transfer.training import run as training
from ros_style_transfer.transfer import wct
from ros_style_transfer.transfer.pipeline import TransferPipeline
from ros_style_transfer.transfer.regions import Region


def test_chosen_channels_never_repeat_what_another_says():
    rng = np.random.default_rng(0)
    independent = rng.normal(size=(5000, 6))
    # Channel n + 6 is channel n again, louder; the constant channel 12 says nothing.
    channels = np.concatenate([independent, 3 * independent, np.ones((5000, 1))], 1)
    chosen = networks.choose_channels(np.cov(channels.T), 6)
    assert sorted(set(np.asarray(chosen) % 6)) == [0, 1, 2, 3, 4, 5]
    assert 12 not in chosen


@pytest.mark.parametrize("count", [1, 3, 8, 12])
def test_chosen_channels_are_sorted_and_unique_however_many(count):
    values = np.random.default_rng(1).normal(size=(500, 4))
    chosen = list(networks.choose_channels(np.cov((values @ np.ones((4, 12)) + np.tile(values, 3)).T), count))
    assert len(chosen) == count
    assert chosen == sorted(set(chosen))
    assert 0 <= chosen[0] and chosen[-1] < 12


def test_choosing_more_channels_than_are_independent_stays_in_numbers():
    values = np.maximum(np.random.default_rng(3).normal(size=(8, 512)), 0)  # eight positions: rank seven
    covariance = np.cov(values.T)
    with np.errstate(all="raise"):
        chosen = networks.choose_channels(covariance, 24)
    assert len(set(chosen)) == 24
    assert np.linalg.matrix_rank(covariance[np.ix_(chosen, chosen)], 1e-6) == 7


def test_first_channel_chosen_is_the_one_that_explains_the_others():
    rng = np.random.default_rng(2)
    cause = rng.normal(size=(5000, 1))
    channels = np.concatenate([rng.normal(size=(5000, 3)), cause, cause + 0.5 * rng.normal(size=(5000, 4))], 1)
    assert list(networks.choose_channels(np.cov(channels.T), 1)) == [3]


def test_pruned_encoder_says_what_the_teacher_says(styles):
    widths = (12, 16, 24, 24, 24)
    rng = np.random.default_rng(0)
    teacher = {}
    for name, channels, width in shapes.encoder_layers():
        kernel = rng.standard_normal((3, 3, channels, width), np.float32)
        teacher[name + "_kernel"] = kernel * np.sqrt(2 / (9 * channels)).astype(np.float32)
        teacher[name + "_bias"] = np.zeros(width, np.float32)
    pictures = np.stack([styles[name][:192, :192] for name in ("flow_night", "mosaic")]).astype(np.float32) / 255
    arrays, heads = networks.prune(teacher, pictures, "vgg16", widths, rng, count=4000)
    for name, channels, width in shapes.encoder_layers("vgg16", widths):
        assert arrays[name + "_kernel"].shape == (3, 3, channels, width)
    wanted, found = networks.Encoder(teacher, padding="zero")(pictures), networks.Encoder(arrays)(pictures)
    for level, (kernel, bias) in heads.items():
        narrow, wide = np.asarray(found[level]), np.asarray(wanted[level])
        assert np.sqrt(np.mean(narrow**2)) == pytest.approx(1, abs=0.01)
        wide = (wide / np.sqrt(np.mean(wide**2)))[:, 4:-4, 4:-4]  # the teacher pads with zeros
        rest = narrow[:, 4:-4, 4:-4] @ kernel + bias - wide
        # A head that knew nothing would leave all of the variance; a third of the channels should tell most of it.
        assert np.mean(rest**2) < 0.5 * np.mean((wide - wide.mean((0, 1, 2))) ** 2), level


@pytest.mark.parametrize("height, width, size", [(100, 150, 64), (64, 64, 64), (40, 90, 64), (500, 70, 64)])
def test_random_crop_is_square_and_of_the_picture(height, width, size):
    picture = np.full((height, width, 3), (10, 100, 200), np.uint8)
    crop = data.random_crop(np.random.default_rng(0), picture, size)
    assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
    assert (crop == (10, 100, 200)).all()


def test_random_crop_depends_on_the_seed_alone(scene):
    first, again, other = (data.random_crop(np.random.default_rng(seed), scene, 48) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_random_crop_is_seen_at_the_scale_asked_for():
    stripes = np.zeros((120, 120, 3), np.uint8)
    stripes[:, np.arange(120) % 8 < 4] = 255  # a period of eight pixels
    for scale, period in ((1.0, 8), (2.0, 16), (0.5, 4)):
        crop = data.random_crop(np.random.default_rng(0), stripes, 48, (scale, scale))
        spectrum = np.abs(np.fft.rfft(crop[24, :, 0].astype(float) - crop[24, :, 0].mean()))
        assert np.argmax(spectrum) == 48 // period


def test_pictures_kept_for_evaluation_are_not_listed(tmp_path, scene):
    for name in ("a.jpg", "b.png", "kept.jpg"):
        images.write(str(tmp_path / name), scene)
    (tmp_path / "notes.txt").write_text("no picture")
    names = [os.path.basename(path) for path in data.list_pictures([str(tmp_path)], {"kept.jpg"})]
    assert names == ["a.jpg", "b.png"]


def test_pictures_are_loaded_as_rgb_no_longer_than_asked(tmp_path):
    images.write(str(tmp_path / "orange.png"), np.full((60, 120, 3), (250, 120, 10), np.uint8))
    (picture,) = data.load_pictures([str(tmp_path / "orange.png")], 80)
    assert picture.shape == (40, 80, 3)
    assert (picture == (250, 120, 10)).all()


def test_contents_that_are_denoised_lose_their_grain_and_keep_their_edges(monkeypatch):
    monkeypatch.setattr(data, "random_crop", lambda rng, picture, size, scales: picture)
    step = np.full((64, 64, 3), 80.0)
    step[:, 32:] = 170
    grainy = np.uint8(step + np.random.default_rng(0).normal(0, 4, step.shape))
    results = [data.content_crop(np.random.default_rng(seed), [grainy], 64) for seed in range(40)]
    changed = [result for result in results if not np.array_equal(result, grainy)]
    assert 10 <= len(changed) <= 30  # half of them
    for result in changed:
        assert result[:, :28].std() < 0.4 * grainy[:, :28].std()
        assert np.abs(result[:, 33:].mean() - result[:, :31].mean() - 90) < 3
        assert result[:, 32].mean() - result[:, 31].mean() > 70  # as sharp as it was


def test_palettes_are_other_pictures_and_some_styles_keep_their_own(monkeypatch, scene):
    monkeypatch.setattr(data, "random_crop", lambda rng, picture, size, scales: picture)
    crop, other = scene[:64, :64], np.uint8(scene[:80, :80] // 3 + np.array([150, 20, 60], np.uint8))
    drawn = [data.style_crop(np.random.default_rng(seed), [crop], [other], 64) for seed in range(60)]
    kept = [np.array_equal(picture, crop) for picture in drawn]
    assert np.mean(kept) == pytest.approx(1 - recipe.RECOLORED, abs=0.2)
    changed = drawn[kept.index(False)]
    assert np.abs(changed.mean((0, 1)) - other.mean((0, 1))).max() < 6
    assert np.abs(np.cov(changed.reshape(-1, 3).T) - np.cov(other.reshape(-1, 3).T)).max() < 0.25 * other.var()


@pytest.mark.parametrize(
    "missing, said", [("nowhere", "no folder .*nowhere; give a folder"), ("empty", "no pictures in .*empty")]
)
def test_folders_without_pictures_are_named(tmp_path, missing, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=said):
        data.list_pictures([str(tmp_path / missing)])


class Described:
    """Numbered crops of noise, what was asked for about them, and the `data.DescribedCrops` of both."""

    def __init__(self, cache_bytes=1e9):
        self.asked = []
        self.crops = data.DescribedCrops(
            lambda rng: rng.integers(0, 256, (42, 42, 3)).astype(np.uint8),
            20,
            self.describe,
            (1, 2),
            margin=5,
            cache_bytes=cache_bytes,
        )

    def describe(self, rgb):
        self.asked.append(len(rgb))
        return {"mean": rgb.mean((1, 2)), "corner": rgb[:, 0, 0]}


def test_a_crop_of_a_number_is_the_same_crop_and_its_inner_part_is_described_once():
    first, second = Described(), Described()
    taken = first.crops.take(np.array([9, 1, 9]), "crop")
    assert first.asked == [2] and sorted(taken) == ["crop", "crop_corner", "crop_mean"]
    assert taken["crop"].shape == (3, 42, 42, 3) and taken["crop"].dtype == np.float32
    assert np.array_equal(taken["crop"][0], taken["crop"][2])
    assert not np.array_equal(taken["crop"][0], taken["crop"][1])
    inner = taken["crop"][:, 5:-5, 5:-5]
    assert np.allclose(taken["crop_mean"], inner.mean((1, 2)), atol=1e-3)  # kept in float16
    assert np.allclose(taken["crop_corner"], inner[:, 0, 0], atol=1e-3)
    again = first.crops.take([1, 3], "crop")
    assert first.asked == [2, 1], "crop 1 was described anew"
    assert np.array_equal(again["crop"][0], taken["crop"][1])
    other = second.crops.take([3, 1], "crop")  # in another order, in another process
    assert np.array_equal(other["crop"][::-1], again["crop"])
    assert np.allclose(other["crop_mean"][::-1], again["crop_mean"], atol=1e-3)


def test_crops_that_the_memory_has_no_room_for_are_described_again():
    size = 42 * 42 * 3 + 2 * 3 * 2
    described = Described(cache_bytes=2.5 * size)
    before = described.crops.take([0, 1, 2], "crop")
    after = described.crops.take([0, 1, 2], "crop")
    assert described.asked == [3, 1] and len(described.crops._cache) == 2
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_batches_depend_on_seed_and_number_alone():
    draw = lambda rng, number: rng.integers(0, 1000, 4)
    first = list(data.prefetched(draw, 0, 6, 1))
    assert len(first) == 6 and len({tuple(batch) for batch in first}) == 6
    assert all(np.array_equal(a, b) for a, b in zip(first[2:], data.prefetched(draw, 2, 4, 1)))
    assert not np.array_equal(first[0], next(data.prefetched(draw, 0, 1, 2)))


def test_a_batch_that_cannot_be_drawn_is_no_end_without_a_word():
    def draw(rng, number):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(data.prefetched(draw, 0, 3, 1))


def test_gram_is_the_mean_outer_product():
    features = np.random.default_rng(0).normal(1, 1, (2, 5, 7, 6)).astype(np.float32)
    expected = np.einsum("bhwi,bhwj->bij", features.astype(np.float64), features) / (5 * 7)
    assert np.allclose(losses.gram(features), expected, rtol=1e-5, atol=1e-5)


def test_crops_of_a_batch_are_mostly_of_photographs():
    photo, painting = (np.full((60, 60, 3), value, np.uint8) for value in (51, 204))
    crops = data.random_crops(np.random.default_rng(0), [photo], [painting], 200, 16)
    assert crops.shape == (200, 16, 16, 3) and crops.dtype == np.float32
    assert set(np.unique(crops.round(3))) == {np.float32(0.2), np.float32(0.8)}
    assert np.mean(crops > 0.5) == pytest.approx(0.2, abs=0.08)


def correlated(rng, batch, height, width, channels):
    mixed = rng.normal(size=(batch, height, width, channels)) @ rng.normal(size=(channels, channels))
    return (mixed + rng.normal(size=channels)).astype(np.float32)


def test_training_counts_a_batchs_statistics_picture_by_picture():
    features = correlated(np.random.default_rng(0), 3, 7, 8, 6)
    means, covariances = statistics.statistics(features)
    for picture, mean, covariance in zip(features, means, covariances):
        flat = picture.reshape(-1, 6).astype(np.float64)
        assert np.allclose(mean[0], flat.mean(0), atol=1e-5)
        assert np.allclose(covariance, np.cov(flat.T, bias=True), atol=1e-4)


@pytest.fixture
def float64():
    """Keras computes in float64, for finite differences."""
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def covariance(case, size=6):
    """A covariance matrix ``[size, size]`` of distinct, of repeated or of vanishing eigenvalues."""
    values = {
        "distinct": np.geomspace(0.1, 4, size),
        "repeated": np.repeat([0.5, 2.0], size // 2),
        "all alike": np.full(size, 1.5),
        "singular": np.repeat([0.0, 2.0], size // 2),
    }[case]
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(size, size)))[0]
    return turn @ np.diag(values) @ turn.T


@pytest.mark.parametrize("case", ["distinct", "repeated", "all alike", "singular"])
@pytest.mark.parametrize("ridge", [1e-3, 0.1])
def test_roots_are_numpys(float64, case, ridge):
    matrices = np.stack([covariance(case), 9 * covariance(case)])
    for matrix, root, inverse in zip(matrices, *statistics.roots(tf.constant(matrices), ridge)):
        assert np.allclose(root, power(regular(matrix, ridge), 0.5), rtol=1e-4, atol=1e-6)
        assert np.allclose(inverse, power(regular(matrix, ridge), -0.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", ["distinct", "repeated", "all alike", "singular"])
@pytest.mark.parametrize("part", [0, 1], ids=["root", "inverse root"])
def test_roots_gradient_is_that_of_finite_differences(float64, case, part):
    """Autodiff through the eigendecomposition would divide by zero where eigenvalues are alike."""
    matrix, ridge, rng = covariance(case), 0.01, np.random.default_rng(1)
    weights_of_parts = rng.normal(size=matrix.shape)
    weights_of_parts += weights_of_parts.T
    value = tf.constant(matrix[None])
    with tf.GradientTape() as tape:
        tape.watch(value)
        total = tf.reduce_sum(weights_of_parts * statistics.roots(value, ridge)[part])
    gradient = tape.gradient(total, value).numpy()[0]
    golden = lambda m: np.sum(weights_of_parts * power(regular(m, ridge), (0.5, -0.5)[part]))
    for _ in range(5):
        step = rng.normal(size=matrix.shape)
        step = 1e-5 * (step + step.T)
        expected = (golden(matrix + step) - golden(matrix - step)) / 2
        assert np.sum(gradient * step) == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_transport_is_the_optimal_map_between_normal_distributions():
    rng = np.random.default_rng(0)
    content, style = correlated(rng, 2, 12, 14, 8), correlated(rng, 2, 10, 9, 8)
    moved = np.asarray(statistics.transport(content, *statistics.statistics(style), 1e-3))
    assert moved.shape == content.shape
    for picture, wanted, result in zip(content, style, moved):
        flat, target = (f.reshape(-1, 8).astype(np.float64) for f in (picture, wanted))
        own = power(regular(np.cov(flat.T, bias=True), 1e-3), 0.5)
        inverse = np.linalg.inv(own)
        # The middle root has a ridge of its own, for its gradient.
        middle = power(regular(own @ np.cov(target.T, bias=True) @ own, 1e-6), 0.5)
        expected = (flat - flat.mean(0)) @ inverse @ middle @ inverse + target.mean(0)
        assert np.linalg.norm(result.reshape(-1, 8) - expected) < 1e-3 * np.linalg.norm(expected)


def test_transport_of_a_flat_picture_is_held_back_by_the_floor():
    rng = np.random.default_rng(0)
    content, style = 0.01 * correlated(rng, 1, 12, 14, 3), correlated(rng, 1, 12, 14, 3)
    moved = np.asarray(statistics.transport(content, *statistics.statistics(style), 1e-3, 0.01))[0].reshape(-1, 3)
    flat, target = (f.reshape(-1, 3).astype(np.float64) for f in (content, style))
    own = power(regular(np.cov(flat.T, bias=True), 1e-3) + 0.01 * np.eye(3), 0.5)
    middle = power(own @ np.cov(target.T, bias=True) @ own, 0.5)
    expected = (flat - flat.mean(0)) @ np.linalg.inv(own) @ middle @ np.linalg.inv(own) + target.mean(0)
    assert np.linalg.norm(moved - expected) < 0.01 * np.linalg.norm(expected)
    assert moved.std() < target.std()


def test_training_whitens_and_colours_as_the_runtime_does():
    rng = np.random.default_rng(0)
    content, style = correlated(rng, 2, 12, 14, 16), correlated(rng, 2, 12, 14, 16)
    wanted = statistics.statistics(style)
    trained = {
        "wct": np.asarray(cascade.whiten_color(content, *wanted, ridge=wct.RIDGE)),
        "ot": np.asarray(statistics.transport(content, *wanted, wct.RIDGE)),
    }
    for method, bound in (("wct", 1e-3), ("ot", 1e-2)):  # the transport's second ridge is the training's alone
        for n in range(2):
            pair = [wct.statistics(tf.constant(f[n])) for f in (content, style)]
            runtime = wct.apply(wct.affine_map(*pair, method), tf.constant(content[n])).numpy()
            assert np.linalg.norm(trained[method][n] - runtime) < bound * np.linalg.norm(runtime), method


def paint(network, model, content, style, ridge=wct.RIDGE):
    """What the runtime paints, float32, unclipped; whole pictures uint8."""
    pipeline = TransferPipeline(network, ridge)
    return pipeline.stylize(content, [Region(pipeline.encode_style(style))], Controls().resolved(model))


def test_training_of_the_cascade_stylizes_as_the_runtime_does(scene, styles):
    """The cascade whose output the losses judge is the one that users get."""
    arrays, entry = weights.load("cascade")
    blank, heads = networks.blank(entry["backbone"], entry["widths"])
    decoders = networks.decoder_arrays(np.random.default_rng(0), entry["backbone"], entry["widths"])
    trainer = cascade.CascadeTrainer(None, blank, decoders, heads, entry["backbone"], recipe.CASCADE_STYLIZING)
    trainer.assign(arrays)
    assert all(np.array_equal(value, arrays[name]) for name, value in trainer.exported().items())
    style = styles["mosaic"][:128, :160]
    trained = trainer.stylize(
        *(picture[None].astype(np.float32) / 255 for picture in (scene, style)),
        canvas.canvas()[None, : scene.shape[0], : scene.shape[1], None],
    )
    painted = paint(Cascade(arrays, entry["widths"], entry["backbone"]), "cascade", scene, style)
    # The five levels stretch the float32 rounding of ten eigendecompositions.
    assert np.abs(np.clip(trained, 0, 1)[0] - np.clip(painted, 0, 1)).mean() < 1 / 255


@pytest.mark.parametrize("second_ridge, bound", [(None, 0.06), (0.0, 0.005)], ids=["as it is", "without second ridge"])
@pytest.mark.parametrize("model, blocks", [("live", shapes.LIVE_BLOCKS), ("lite", shapes.LITE_BLOCKS)])
def test_training_of_the_live_models_stylizes_as_the_runtime_does(
    monkeypatch, scene, styles, second_ridge, bound, model, blocks
):
    """But for the ridge of the transport's middle root, which is there for its gradient in training alone."""
    roots = statistics.roots
    if second_ridge is not None:
        monkeypatch.setattr(statistics, "roots", lambda s, ridge: roots(s, second_ridge if ridge == 1e-6 else ridge))
    arrays = random_arrays(blocks=blocks)
    trainer = live.LiveTrainer(None, arrays, blocks, recipe.STYLIZING)
    assert all(np.array_equal(value, arrays[name]) for name, value in trainer.exported().items())
    style = styles["mosaic"][:128, :160]
    trained = np.asarray(trainer.stylize(*(picture[None].astype(np.float32) / 255 for picture in (scene, style))))[0]
    painted = paint(Live(arrays, WIDTHS, blocks), model, scene, style)
    assert np.linalg.norm(trained - painted) < bound * np.linalg.norm(painted - painted.mean((0, 1)))


def test_grid_is_the_grid_and_nothing_else():
    y, x = np.mgrid[:100, :164]
    rng = np.random.default_rng(0)
    cell = rng.normal(0, 0.05, (4, 4, 3))
    cell -= cell.mean((0, 1))
    slope = (0.01 * x - 0.003 * y)[..., None] * [1.0, 0.5, -1.0]
    found = np.asarray(artifacts.grid(np.float32(slope + np.tile(cell, (25, 41, 1)))[None]))
    assert found.shape == (1, 3, 4, 5, 4, 3)
    assert np.allclose(found, np.roll(cell, (-2, -2), (0, 1))[:, None], atol=1e-4)
    noise = rng.normal(0, 0.05, (1, 100, 164, 3))
    assert np.asarray(artifacts.grid(np.float32(noise))).std() < 0.05 / 6


def patch_list(features, stride):
    """Every ``stride``-th 3x3 patch of ``features [h, w, c]``, of unit length."""
    rows, columns = (range(0, side - 2, stride) for side in features.shape[:2])
    patches = [features[y : y + 3, x : x + 3].ravel() for y in rows for x in columns]
    return [patch / np.linalg.norm(patch) for patch in patches]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_patch_distance_is_to_the_most_similar_patch_both_ways(stride):
    rng = np.random.default_rng(0)
    painted, style = rng.normal(0.3, 1, (2, 8, 9, 4)), rng.normal(-0.2, 1, (2, 11, 7, 4))
    forth, back = [], []
    for one, other in zip(painted, style):
        ours, theirs = patch_list(one, stride), patch_list(other, stride)
        forth.append(np.mean([1 - max(patch @ each for each in theirs) for patch in ours]))
        back.append(np.mean([1 - max(patch @ each for each in ours) for patch in theirs]))
    found = losses.patch_distances(np.float32(painted), np.float32(style), stride)
    assert [float(part) for part in found] == pytest.approx([np.mean(forth), np.mean(back)], abs=1e-4)
    assert max(abs(float(part)) for part in losses.patch_distances(*[np.float32(style)] * 2, stride)) < 1e-4


def similarities(features):
    """Cosines between positions of ``features [h, w, c]`` less their mean."""
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    flat = flat - flat.mean(0)
    return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in flat] for a in flat])


def test_self_similarity_is_the_cosines_between_positions():
    features = np.random.default_rng(0).normal(2, 1, (2, 4, 5, 6)).astype(np.float32)
    found = np.asarray(losses.self_similarity(features))
    assert found.shape == (2, 20, 20)
    for picture, matrix in zip(features, found):
        assert np.allclose(matrix, similarities(picture), atol=1e-4)
    assert np.allclose(losses.self_similarity(5 * features + 1), found, atol=1e-3), "loudness and color do not matter"


@pytest.fixture
def loss_network():
    """A loss network of five levels that are easy to compute: the picture's channels, mixed and pooled."""
    mix = {level: np.float32(np.random.default_rng(level).normal(size=(3, 4))) for level in range(1, 6)}

    class Network:
        dtype = "float32"

        def __call__(self, rgb, last=5):
            rgb = np.asarray(rgb)
            b, h, w, _ = rgb.shape
            return {
                level: tf.constant(rgb.reshape(b, h // n, n, w // n, n, 3).mean((2, 4)) @ mix[level])
                for level in mix
                for n in [2 ** (level - 1)]
            }

    return losses.LossNetwork(Network(), {level: 0.5 * level for level in mix})


def test_losses_are_what_their_papers_say(loss_network):
    rng = np.random.default_rng(0)
    content, style, painted = (rng.random((2, 96, 80, 3)).astype(np.float32) ** power for power in (1, 2, 3))
    found = loss_network.losses(painted, loss_network.describe_content(content), loss_network.describe_style(style))
    pictures = {"content": content, "style": style, "painted": painted}
    taps = {
        (name, level): features.numpy().astype(np.float64) / (0.5 * level)
        for name, rgb in pictures.items()
        for level, features in loss_network.network(rgb).items()
    }
    grams = {key: np.einsum("bhwi,bhwj->bij", f, f) / (f.shape[1] * f.shape[2]) for key, f in taps.items()}
    norm = lambda matrices: np.sqrt((matrices**2).sum((1, 2)))
    for level in range(1, 6):
        target = grams["style", level]
        gap = np.maximum(norm(grams["content", level] - target), 0.4 * norm(target))
        error = np.mean(norm(grams["painted", level] - target) / gap)
        assert float(found["style%d" % level]) == pytest.approx(error, rel=1e-3)
    normal = {
        name: (f - f.mean((1, 2), keepdims=True)) / np.sqrt(f.var((1, 2), keepdims=True) + 1e-5)
        for name in pictures
        for f in [taps[name, 4]]
    }
    assert float(found["content"]) == pytest.approx(np.mean((normal["content"] - normal["painted"]) ** 2) / 2, rel=1e-3)
    both = [
        losses.patch_distances(np.float32(taps["painted", level]), np.float32(taps["style", level]), stride)
        for level, stride in ((3, 3), (4, 2))
    ]
    assert float(found["patch"]) == pytest.approx(np.mean([float(forth) for forth, _ in both]), rel=1e-3)
    assert float(found["coverage"]) == pytest.approx(np.mean([float(back) for _, back in both]), rel=1e-3)
    pooled = {
        name: f.reshape(2, f.shape[1] // 2, 2, f.shape[2] // 2, 2, 4).mean((2, 4))
        for name in ("content", "painted")
        for f in [taps[name, 3]]
    }
    apart = [np.abs(similarities(a) - similarities(b)).mean() for a, b in zip(pooled["painted"], pooled["content"])]
    assert float(found["structure"]) == pytest.approx(np.mean(apart), rel=1e-3)


def test_a_style_has_its_own_style_and_a_content_its_own_structure(loss_network):
    rng = np.random.default_rng(0)
    content, style = (rng.random((1, 96, 80, 3)).astype(np.float32) ** power for power in (1, 3))
    known = loss_network.describe_content(content), loss_network.describe_style(style)
    own = loss_network.losses(style, *known)
    assert max(float(own[name]) for name in ["patch", "coverage"] + ["style%d" % level for level in range(1, 6)]) < 0.01
    own = loss_network.losses(content, *known)
    assert max(float(own[name]) for name in ("content", "structure")) < 1e-3
    assert min(float(own[name]) for name in ["style%d" % level for level in range(1, 4)]) > 0.5


def test_descriptions_are_computed_by_the_compiled_function_too(loss_network):
    rgb = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    double = losses.Compiled(lambda values: {"double": 2 * values})
    assert np.allclose(double.predict_on_batch(rgb)["double"], 2 * rgb)


# Where a training stands, what it says, and what it never touches


def arguments(folder, **options):
    return types.SimpleNamespace(
        **{"work": str(folder), "model": "live", "precision": None, "every": 1, "seed": 1, **options}
    )


def test_precision_is_measured_once_and_remembered(monkeypatch, tmp_path):
    measured = []
    monkeypatch.setattr(networks, "faster_dtype", lambda: measured.append(1) or "bfloat16")
    assert training.choose_precision(arguments(tmp_path)) == "bfloat16"
    assert training.choose_precision(arguments(tmp_path)) == "bfloat16" and len(measured) == 1
    assert training.choose_precision(arguments(tmp_path, model="lite")) == "bfloat16" and len(measured) == 2
    assert training.choose_precision(arguments(tmp_path, precision="float32")) == "float32"
    assert training.choose_precision(arguments(tmp_path)) == "float32" and len(measured) == 2


def test_weights_go_only_to_a_folder_that_a_training_made(tmp_path):
    own, other = str(tmp_path / "own"), tmp_path / "other"
    for _ in range(2):
        training.claim(own)
        weights.save("live", {"a": np.zeros(1)}, own)
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    with pytest.raises(OptionError, match="other holds files that no training has written"):
        training.claim(str(other))
    assert os.listdir(other) == ["manifest.json"]


def compared(values):
    """What is said at checkpoints with these validation losses."""
    run = types.SimpleNamespace(state={"step": 0, "best": None, "worse": 0})
    said = []
    for value in values:
        run.state["step"] += 100
        said.append(training.Run._compare(run, value))
    return said


def test_a_validation_loss_that_stays_worse_is_said():
    assert not any(compared([3, 2, 1, 1.02, 1.1, 1.2, 0.9, 1.2, 1.2, 1.2, 1.2, 0.91] + 4 * [1.2]))
    said = compared([2, 1, 1.5, 1.5, 1.5, 1.5, 1.5, 1.6, 1.0, 1.5])
    assert [n for n, text in enumerate(said) if text] == [6, 7]
    assert said[6].startswith("the validation loss 1.5 is worse than its best, 1 at step 200, and has been for 5 ")
    assert compared([1, *5 * [float("nan")]])[-1], "nor is what is no number any better"


def test_learning_rate_rises_stays_and_falls():
    stage = recipe.Stage("s", 4000, 4, 192, 1e-3, {})
    rate = training.Schedule(stage)
    at = lambda step: float(rate(step))
    assert at(0) == pytest.approx(1e-3 / recipe.WARM_UP) and at(recipe.WARM_UP - 1) == pytest.approx(1e-3)
    assert at(1000) == at(2999) == pytest.approx(1e-3)
    assert at(3500) == pytest.approx(0.505e-3) and at(4000) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    "seconds, text", [(0, "0 s"), (44.6, "45 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12000, "3 h 20 min")]
)
def test_durations_are_for_people(seconds, text):
    assert training.duration(seconds) == text


@pytest.mark.parametrize("model", sorted(recipe.RECIPES))
def test_estimate_grows_with_what_is_left(monkeypatch, model):
    monkeypatch.setattr(networks, "convolution_rate", lambda precision: 5e10)
    stages = recipe.RECIPES[model]
    whole = training.estimate(model, [(stage, stage.steps) for stage in stages], "float32")
    half = training.estimate(model, [(stage, stage.steps // 2) for stage in stages], "float32")
    assert 600 < half < whole < 1e6 and 0.4 < half / whole < 0.7
    assert training.estimate(model, [(stage, 0) for stage in stages], "float32") == 0


def test_every_loss_has_a_weight_and_every_model_its_widths():
    assert set(recipe.RECIPES) == set(recipe.WIDTHS)
    for stages in recipe.RECIPES.values():
        for stage in stages:
            assert stage.size % 16 == 0 and min(stage.losses.values()) > 0


COMMAND = ["live", "--teacher", "teacher.npz", "--photos", "pictures", "--styles", "pictures"]


@pytest.mark.parametrize(
    "more, said",
    [
        (["--size", "100"], "--size must be a multiple of 16"),
        (["--batch", "3"], "--batch must be a multiple of 2"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--teacher", "no.npz"], "--teacher: no file no.npz"),
        (["--start", "no.npz"], "--start: no file no.npz"),
        (["--photos", "nowhere"], "no folder nowhere"),
    ],
)
def test_what_is_wrong_with_the_command_line_is_said(monkeypatch, material, capsys, more, said):
    monkeypatch.chdir(material)
    with pytest.raises(SystemExit) as ended:
        __main__.main(COMMAND + more)
    assert said in capsys.readouterr().err + str(ended.value)


def test_weights_that_do_not_fit_are_no_start(tmp_path):
    path = str(tmp_path / "start.npz")
    trainer = live.LiveTrainer(None, random_arrays(), shapes.LIVE_BLOCKS, recipe.STYLIZING)
    for arrays in ({"a": np.zeros(3)}, random_arrays((8, 8, 10))):
        np.savez(path, **arrays)
        with pytest.raises(OptionError, match="cannot start from .*start.npz"):
            training.start_from(trainer, path)


# From pictures to weights


@pytest.fixture(scope="module")
def material(tmp_path_factory, styles):
    """A folder of six small pictures, and a teacher of VGG16's shape that has learned nothing."""
    folder = tmp_path_factory.mktemp("training")
    for name in sorted(styles)[:6]:
        images.write(str(folder / "pictures" / (name + ".jpg")), styles[name][:256, :256])
    rng, arrays = np.random.default_rng(0), {}
    for name, channels, width in shapes.encoder_layers(convolutions=shapes.ALL_CONVOLUTIONS):
        kernel = rng.standard_normal((3, 3, channels, width), np.float32) * np.sqrt(2 / (9 * channels))
        arrays[name + "_kernel"], arrays[name + "_bias"] = kernel.astype(np.float16), np.zeros(width, np.float16)
    np.savez(str(folder / "teacher.npz"), **arrays)
    return folder


def command(material, model, work, *options):
    pictures = str(material / "pictures")
    return [
        model,
        "--teacher",
        str(material / "teacher.npz"),
        "--photos",
        pictures,
        "--styles",
        pictures,
        "--work",
        str(work),
        "--batch",
        "2",
        "--size",
        "64",
        "--precision",
        "float32",
        "--every",
        "1",
        *map(str, options),
    ]


@pytest.fixture(scope="module")
def tiny():
    """The smallest cost of a run apart from its steps."""
    patch = pytest.MonkeyPatch()
    for name, value in dict(
        PRUNE_CROPS=1, PRUNE_POSITIONS=2000, SCALE_CROPS=2, VALIDATION=1, SAMPLES=1, MEASURED_STEPS=1
    ).items():
        patch.setattr(training, name, value)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def trained(material, tiny):
    """``trained(model)``: the work folder of a whole training and what it said; made once."""
    known = {}

    def trained(model):
        if model not in known:
            work = material / ("work_" + model)
            with pytest.MonkeyPatch.context() as patch:
                said = []
                patch.setattr("builtins.print", lambda *words, **options: said.append(" ".join(map(str, words))))
                __main__.main(command(material, model, work, "--steps", 3, "--every", 2))
            known[model] = work, said
        return known[model]

    return trained


def stages_of(model):
    return [stage.name for stage in recipe.RECIPES[model]]


@pytest.mark.parametrize("model", ["compact", "live", "lite", "cascade"])
def test_a_model_is_trained_from_pictures_to_weights_that_the_runtime_loads(trained, scene, styles, model):
    work, said = trained(model)
    assert said[0].startswith("training %s on 6 photographs and 6 styles: %s (3 steps)" % (model, stages_of(model)[0]))
    assert any("left, estimated" in line for line in said) and said[-1].startswith("wrote %s.npz to" % model)
    arrays, entry = weights.load(model, str(work / "weights"))
    assert entry["widths"] == list(recipe.WIDTHS[model])
    for stage in recipe.RECIPES[model]:
        stem = "%s_%s" % (model, stage.name)
        with open(str(work / (stem + ".csv")), newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows] == ["2", "3"]
        assert set(rows[0]) >= {"step", "loss", "validation"} and all(
            np.isfinite(float(value)) for row in rows for value in row.values()
        )
        assert json.loads((work / (stem + ".json")).read_text())["step"] == 3
        assert (work / (stem + "_samples.jpg")).stat().st_size > 1000
        assert (work / (stem + "_curves.png")).stat().st_size > 1000
        assert "%s 3/3, 0 s left" % stage.name in "\n".join(said)
        averaged = dict(np.load(str(work / (stem + ".npz"))))
        assert all(np.isfinite(value).all() for value in averaged.values())
    assert set(arrays) == {name for name in averaged if not name.startswith("head_")}
    if model == "compact":
        names = [name for name, _, _ in shapes.encoder_layers("vgg16", entry["widths"])]
        assert set(arrays) == {name + part for name in names for part in ("_kernel", "_bias")}
        return
    stylizer = Stylizer(model, weights_dir=str(work / "weights"))
    stylizer.set_style(styles["mosaic"][:64, :64])
    assert stylizer.stylize(scene).shape == scene.shape


def test_every_part_of_a_live_model_is_trained(trained):
    work, _ = trained("live")
    begun = live.initial_arrays(np.random.default_rng(1), recipe.WIDTHS["live"], recipe.BLOCKS["live"])
    ended = dict(np.load(str(work / "live_stylize.npz")))
    assert set(begun) == set(ended)
    moved = {name: ended[name].std() - begun[name].std() for name in begun}
    assert all(moved[name] != 0 for name in begun), [name for name in begun if not moved[name]]


def test_a_finished_stage_is_not_trained_on(material, trained, capsys):
    work, _ = trained("lite")
    before = (work / "lite_refine.npz").read_bytes(), weights.load("lite", str(work / "weights"))[1]
    __main__.main(command(material, "lite", work, "--steps", 3))
    said = capsys.readouterr().out
    assert "imitate is finished" in said and "refine is finished" in said
    assert "step 0" not in said and "estimated" not in said
    assert before == ((work / "lite_refine.npz").read_bytes(), weights.load("lite", str(work / "weights"))[1])


def test_fine_tuning_starts_from_the_weights_that_are_named(material, trained, tmp_path):
    work, _ = trained("lite")
    start = str(work / "weights" / "lite.npz")
    __main__.main(command(material, "lite", tmp_path, "--steps", 1, "--start", start, "--seed", 9))
    before, after = np.load(start), np.load(str(tmp_path / "lite_imitate.npz"))
    apart = max(np.abs(before[name] - after[name]).max() for name in after.files)
    assert 0 < apart < 0.05  # a step; other weights from scratch would be further away


def test_no_time_is_no_step(material, tmp_path, capsys):
    __main__.main(command(material, "lite", tmp_path, "--steps", 3, "--minutes", 1e-6))
    assert "stopped at step 0 of imitate; run the same command to continue" in capsys.readouterr().out
    assert not (tmp_path / "weights" / "lite.npz").exists()


class Process:
    """A training as a process, whose lines can be waited for."""

    def __init__(self, arguments):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ros_style_transfer.training", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ, PYTHONPATH=REPOSITORY),
        )
        self.lines = []

    def wait_for(self, start):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(start):
                return
        raise AssertionError("ended with %r" % self.process.stderr.read())

    def end(self, number):
        """After this signal: everything that it said."""
        self.process.send_signal(number)
        said, error = self.process.communicate(timeout=120)
        return "".join(self.lines) + said, error


def test_a_killed_training_goes_on_to_the_same_weights(material, trained, tiny, tmp_path, capsys):
    options = command(material, "lite", tmp_path, "--steps", 3)
    process = Process(options)
    process.wait_for("training lite")
    assert time.monotonic() - process.started < 40, "TensorFlow alone takes a few seconds"
    process.wait_for("imitate 1/3")
    process.end(signal.SIGKILL)
    assert not list(tmp_path.glob("*.csv.partial*"))
    reached = json.loads((tmp_path / "lite_imitate.json").read_text())["step"]
    assert reached in (1, 2)

    process = Process(options)
    process.wait_for("imitate: step")
    said, error = process.end(signal.SIGINT)
    assert error.strip().splitlines()[-1] == __main__.STOPPED.strip() and "Traceback" not in error
    assert process.process.returncode == 1

    capsys.readouterr()
    __main__.main(options)
    assert "imitate: step %d of 3" % reached in capsys.readouterr().out
    resumed, whole = (dict(np.load(str(work / "lite_refine.npz"))) for work in (tmp_path, trained("lite")[0]))
    for name, expected in whole.items():
        assert np.allclose(resumed[name], expected, atol=2e-3), name


@pytest.mark.parametrize("moment", ["training lite", "nothing"])
def test_an_interrupt_is_one_sentence_from_the_first_moment(material, tmp_path, moment):
    process = Process(command(material, "lite", tmp_path, "--steps", 3))
    if moment == "nothing":
        time.sleep(0.5)
    else:
        process.wait_for(moment)
    _, error = process.end(signal.SIGINT)
    assert "Traceback" not in error
    if moment != "nothing":  # Python itself may have been starting
        assert error.strip() == __main__.STOPPED.strip()


def test_a_missing_folder_is_one_sentence(material, run):
    process = run("-m", "ros_style_transfer.training", *command(material, "lite", "work", "--photos", "nowhere"))
    assert process.returncode == 1
    assert process.stderr.strip() == "no folder nowhere; give a folder of pictures"


def test_ranges_are_added_to_weights_and_int8_paints_by_them(material, tmp_path, scene, styles, capsys):
    arrays, entry = weights.load("lite")
    bare = {name: array for name, array in arrays.items() if not name.endswith("_range")}
    facts = {key: entry[key] for key in ("backbone", "widths", "blocks", "ridge")}
    weights.save("lite", bare, str(tmp_path), **facts)
    pictures = str(material / "pictures")
    calibrate.main(["lite", "--photos", pictures, "--styles", pictures, "--count", "2", "--weights", str(tmp_path)])
    assert "added the activation ranges of" in capsys.readouterr().out
    found, now = weights.load("lite", str(tmp_path))
    assert {key: now[key] for key in facts} == facts
    assert all(np.array_equal(found[name], array) for name, array in bare.items())
    layers = set(shapes.live_layers(entry["widths"], entry["blocks"])) - {"style_code", "modulation"}
    assert set(found) == set(bare) | {name + "_range" for name in layers}
    painted = []
    for dtype in ("int8", "float32"):
        stylizer = Stylizer("lite", dtype, str(tmp_path))
        stylizer.set_style(styles["mosaic"])
        painted.append(np.float32(stylizer.stylize(scene)))
    assert 0 < np.abs(painted[0] - painted[1]).mean() < 8
