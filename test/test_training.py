"""The training: its pieces against numpy and the runtime, and a tiny run from pictures to painted pixels."""
import csv
import os
import types

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("keras", minversion="3.0", reason="the training needs Keras 3")

import keras

from ros_style_transfer.controls import Controls
from ros_style_transfer.media import images
from ros_style_transfer.models import canvas, shapes, weights
from ros_style_transfer.models.cascade import Cascade
from ros_style_transfer.models.live import Live
from ros_style_transfer.stylizer import Stylizer
from ros_style_transfer.training import cascade, data, flaws, live, networks, statistics, teacher
from ros_style_transfer.transfer import wct
from ros_style_transfer.transfer.pipeline import Painter, Region


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


def test_thinned_encoder_says_what_the_teacher_says(styles):
    widths = (12, 16, 24, 24, 24)
    rng = np.random.default_rng(0)
    teacher = {}
    for name, channels, width in shapes.encoder_layers():
        kernel = rng.standard_normal((3, 3, channels, width), np.float32)
        teacher[name + "_kernel"] = kernel * np.sqrt(2 / (9 * channels)).astype(np.float32)
        teacher[name + "_bias"] = np.zeros(width, np.float32)
    pictures = np.stack([styles[name][:192, :192] for name in ("flow_night", "mosaic")]).astype(np.float32) / 255
    arrays, heads = networks.thin(teacher, pictures, "vgg16", widths, rng, count=4000)
    for name, channels, width in shapes.encoder_layers("vgg16", widths):
        assert arrays[name + "_kernel"].shape == (3, 3, channels, width)
    wanted, found = networks.Encoder(teacher, padding="zero")(pictures), networks.Encoder(arrays)(pictures)
    for level, (kernel, bias) in heads.items():
        narrow, wide = np.asarray(found[level]), np.asarray(wanted[level])
        assert np.sqrt(np.mean(narrow**2)) == pytest.approx(1, abs=0.01)
        wide = (wide / np.sqrt(np.mean(wide**2)))[:, 4:-4, 4:-4]  # the teacher pads with zeros
        rest = narrow[:, 4:-4, 4:-4] @ kernel + bias - wide
        # A head that knew nothing would leave all of the variance; a third of the channels should tell most of it.
        assert np.mean(rest**2) < 0.5 * np.mean((wide - wide.mean((0, 1, 2)))**2), level


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


def test_cleaned_contents_lose_their_grain_and_keep_their_edges():
    step = np.full((64, 64, 3), 80.0)
    step[:, 32:] = 170
    rng = np.random.default_rng(0)
    grainy = np.uint8(step + rng.normal(0, 4, step.shape))
    results = [data.cleaned(np.random.default_rng(seed), grainy) for seed in range(40)]
    changed = [result for result in results if not np.array_equal(result, grainy)]
    assert 10 <= len(changed) <= 30  # half of them
    for result in changed:
        assert result[:, :28].std() < 0.4 * grainy[:, :28].std()
        assert np.abs(result[:, 33:].mean() - result[:, :31].mean() - 90) < 3
        assert result[:, 32].mean() - result[:, 31].mean() > 70  # as sharp as it was


def test_pictures_kept_for_evaluation_are_not_listed(tmp_path, scene):
    for name in ("a.jpg", "b.png", "kept.jpg"):
        images.write(str(tmp_path / name), scene)
    (tmp_path / "notes.txt").write_text("no picture")
    names = [os.path.basename(path) for path in data.list_pictures(str(tmp_path), {"kept.jpg"})]
    assert names == ["a.jpg", "b.png"]


def test_pictures_are_loaded_as_rgb_no_longer_than_asked(tmp_path):
    images.write(str(tmp_path / "orange.png"), np.full((60, 120, 3), (250, 120, 10), np.uint8))
    picture, = data.load_pictures([str(tmp_path / "orange.png")], 80)
    assert picture.shape == (40, 80, 3)
    assert (picture == (250, 120, 10)).all()


def test_gram_is_the_mean_outer_product():
    features = np.random.default_rng(0).normal(1, 1, (2, 5, 7, 6)).astype(np.float32)
    expected = np.einsum("bhwi,bhwj->bij", features.astype(np.float64), features) / (5 * 7)
    assert np.allclose(teacher.gram(features), expected, rtol=1e-5, atol=1e-5)


def test_crops_of_a_batch_are_mostly_of_photographs():
    photo, painting = (np.full((60, 60, 3), value, np.uint8) for value in (51, 204))
    crops = data.random_crops(np.random.default_rng(0), [photo], [painting], 200, 16)
    assert crops.shape == (200, 16, 16, 3) and crops.dtype == np.float32
    assert set(np.unique(crops.round(3))) == {np.float32(0.2), np.float32(0.8)}
    assert np.mean(crops > 0.5) == pytest.approx(0.2, abs=0.08)


def test_batches_depend_on_seed_and_number_alone(scene):
    draw = lambda rng: {"content": data.random_crops(rng, [scene], [scene[::-1]], 2, 48)}
    make = lambda seed: data.Batches(draw, 5, (seed, 0))
    assert len(make(1)) == 5
    first, again, other = make(1)[3][0]["content"], make(1)[3][0]["content"], make(2)[3][0]["content"]
    assert first.shape == (2, 48, 48, 3) and first.dtype == np.float32 and 0 <= first.min() and first.max() <= 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, make(1)[4][0]["content"])


def test_bank_knows_the_inner_part_of_every_crop_and_keeps_it(tmp_path):
    asked = []

    def describe(rgb):
        asked.append(rgb)
        return {"mean": rgb.mean((1, 2)), "corner": rgb[:, 0, 0]}

    crops = np.random.default_rng(0).integers(0, 256, (data.AT_ONCE + 3, 42, 42, 3), np.uint8)
    make = lambda crops: data.Bank(crops, describe, str(tmp_path), margin=5)
    first = make(crops)
    assert [rgb.shape for rgb in asked] == [(data.AT_ONCE, 32, 32, 3), (3, 32, 32, 3)]
    again = make(crops)
    assert len(asked) == 2, "what is on disk was computed anew"
    for bank in (first, again):
        taken = bank.take(np.array([9, 1, 9]), "crop")
        inner = bank.take(np.array([9, 1, 9]), "part", ["mean"], inner=True)
        assert sorted(taken) == ["crop", "crop_corner", "crop_mean"] and sorted(inner) == ["part", "part_mean"]
        assert all(value.dtype == np.float32 for value in taken.values())
        for n, pick in enumerate((9, 1, 9)):
            whole = crops[pick] / np.float32(255)
            assert np.array_equal(taken["crop"][n], whole)
            assert np.array_equal(inner["part"][n], whole[5:-5, 5:-5])
            assert np.allclose(taken["crop_mean"][n], whole[5:-5, 5:-5].mean((0, 1)), atol=1e-3)  # kept in float16
            assert np.array_equal(taken["crop_mean"][n], inner["part_mean"][n])
            assert np.allclose(taken["crop_corner"][n], whole[5, 5], atol=1e-3)
    make(crops[::-1])
    assert len(asked) == 4, "other crops took what was on disk"


def test_palettes_are_other_pictures_and_some_paintings_keep_their_own(scene):
    rng = np.random.default_rng(0)
    crop, other = scene[:64, :64], np.uint8(scene[:80, :80] // 3 + np.array([150, 20, 60], np.uint8))
    drawn = [data.recoloured(rng, crop, [other]) for _ in range(60)]
    kept = [np.array_equal(picture, crop) for picture in drawn]
    assert 0.15 < np.mean(kept) < 0.65
    changed = drawn[kept.index(False)]
    assert np.abs(changed.mean((0, 1)) - other.mean((0, 1))).max() < 6
    assert np.abs(np.cov(changed.reshape(-1, 3).T) - np.cov(other.reshape(-1, 3).T)).max() < 0.25 * other.var()


class Eyes:
    """A teacher that knows of a picture its mean colour, and of a content its first pixel, too."""

    digest = "eyes"
    grams = staticmethod(lambda rgb: {"gram1": rgb.mean((1, 2))})
    describe = staticmethod(lambda rgb: {"gram1": rgb.mean((1, 2)), "structure": rgb[:, 0, 0]})


@pytest.mark.parametrize("share, recoloured, greys", [
    (0, 0, {153, 204}), (1, 0, {51, 102}), (0, 1, {51, 102, 153, 204}), (0.5, 0, {51, 102, 153, 204})])
def test_pairs_are_of_contents_and_of_styles_that_are_paintings_and_photographs(
        monkeypatch, tmp_path, share, recoloured, greys):
    monkeypatch.setattr(data, "PHOTOGRAPHS", share)
    monkeypatch.setattr(data, "RECOLOURED", recoloured)
    grey = lambda value: np.full((60, 60, 3), value, np.uint8)
    args = types.SimpleNamespace(seed=1, work=str(tmp_path), content_variants=2, variants=12)
    stage = types.SimpleNamespace(size=32, batch=80)
    batch = data.pairs(Eyes, stage, args, [grey(51), grey(102)], [grey(153), grey(204)])(np.random.default_rng(0))
    wide = 32 + 2 * data.MARGIN
    assert batch["content"].shape == (80, wide, wide, 3) and batch["style"].shape == (80, 32, 32, 3)
    assert data.inner(batch["content"]).shape == (80, 32, 32, 3)
    assert sorted(batch) == ["content", "content_gram1", "content_structure", "soft", "style", "style_gram1"]
    shades = {part: set(np.unique(np.round(batch[part] * 255))) for part in ("content", "style")}
    assert shades == {"content": {51, 102}, "style": greys}
    for part in ("content", "style"):
        assert np.allclose(batch[part + "_gram1"], batch[part].mean((1, 2)), atol=1e-3)
    assert batch["soft"].min() == 0 and 0.3 < (batch["soft"] > 0).mean() < 0.7


def correlated(rng, batch, height, width, channels):
    mixed = rng.normal(size=(batch, height, width, channels)) @ rng.normal(size=(channels, channels))
    return (mixed + rng.normal(size=channels)).astype(np.float32)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**exponent) @ vectors.T


def regular(matrix, ridge):
    return matrix + ridge * np.trace(matrix) / len(matrix) * np.eye(len(matrix))


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
    values = {"distinct": np.geomspace(0.1, 4, size), "repeated": np.repeat([0.5, 2.0], size // 2),
              "all alike": np.full(size, 1.5), "singular": np.repeat([0.0, 2.0], size // 2)}[case]
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


def test_training_whitens_and_colours_as_the_runtime_does():
    rng = np.random.default_rng(0)
    content, style = correlated(rng, 2, 12, 14, 16), correlated(rng, 2, 12, 14, 16)
    wanted = statistics.statistics(style)
    trained = {"wct": np.asarray(cascade.whiten_colour(content, *wanted, ridge=wct.RIDGE)),
               "ot": np.asarray(statistics.transport(content, *wanted, wct.RIDGE))}
    for method, bound in (("wct", 1e-3), ("ot", 1e-2)):  # the transport's second ridge is the training's alone
        for n in range(2):
            pair = [wct.statistics(tf.constant(f[n])) for f in (content, style)]
            runtime = wct.apply(wct.affine_map(*pair, method), tf.constant(content[n])).numpy()
            assert np.linalg.norm(trained[method][n] - runtime) < bound * np.linalg.norm(runtime), method


def paint(network, model, content, style, ridge=wct.RIDGE):
    """What the runtime paints, float32, unclipped; whole pictures uint8."""
    painter = Painter(network, ridge)
    return painter.paint(content, [Region(painter.style_of(style))], Controls().resolved(model))


def test_training_paints_what_the_runtime_paints(scene, styles):
    """The cascade whose output the losses judge is the one that users get."""
    arrays, entry = weights.load("cascade")
    blank, _ = networks.blank(entry["backbone"], entry["widths"])
    decoders = networks.decoder_arrays(np.random.default_rng(0), entry["backbone"], entry["widths"])
    trainer = cascade.CascadeTrainer(
        networks.Encoder(blank), {}, blank, decoders, {}, entry["backbone"], wct.RIDGE)
    trainer.assign(arrays)
    style = styles["mosaic"][:128, :160]
    trained = trainer.stylize(*(picture[None].astype(np.float32) / 255 for picture in (scene, style)),
                              canvas.canvas()[None, :scene.shape[0], :scene.shape[1], None])
    painted = paint(Cascade(arrays, entry["widths"], entry["backbone"]), "cascade", scene, style)
    # The five levels stretch the float32 rounding of ten eigendecompositions.
    assert np.abs(np.clip(trained, 0, 1)[0] - np.clip(painted, 0, 1)).mean() < 1 / 255


@pytest.mark.parametrize("second_ridge, bound", [(None, 0.06), (0.0, 0.005)], ids=["as it is", "without second ridge"])
@pytest.mark.parametrize("model, pairs", [("live", shapes.LIVE_PAIRS), ("lite", shapes.LITE_PAIRS)])
def test_training_of_the_live_model_paints_what_the_runtime_paints(
        monkeypatch, scene, styles, second_ridge, bound, model, pairs):
    """But for the ridge of the transport's middle root, which is there for its gradient in training alone."""
    roots = statistics.roots
    if second_ridge is not None:
        monkeypatch.setattr(statistics, "roots", lambda s, ridge: roots(s, second_ridge if ridge == 1e-6 else ridge))
    arrays = live.live_arrays(np.random.default_rng(0), pairs=pairs)
    trainer = live.LiveTrainer(networks.Encoder({}), {}, arrays, shapes.LIVE_WIDTHS, 0.01, pairs=pairs)
    style = styles["mosaic"][:128, :160]
    grain = canvas.canvas()[None, : scene.shape[0], : scene.shape[1], None]
    pictures = (picture[None].astype(np.float32) / 255 for picture in (scene, style))
    trained = np.asarray(trainer.paint(*pictures, grain))[0]
    painted = paint(Live(arrays, shapes.LIVE_WIDTHS, pairs), model, scene, style, 0.01)
    assert np.linalg.norm(trained - painted) < bound * np.linalg.norm(painted - painted.mean((0, 1)))


def test_blur_is_the_binomial_filters(scene):
    blurred = np.asarray(teacher.blur(np.float32(scene[None])))
    weights_of_rows = np.float64([1, 2, 1]) / 4
    padded = np.pad(scene.astype(np.float64), ((1, 1), (1, 1), (0, 0)), "reflect")
    expected = sum(weights_of_rows[dy] * weights_of_rows[dx] * padded[dy : dy + 128, dx : dx + 160]
                   for dy in range(3) for dx in range(3))
    assert np.allclose(blurred[0], expected, atol=1e-3)


def test_weave_is_the_grid_and_nothing_else():
    y, x = np.mgrid[:100, :164]
    rng = np.random.default_rng(0)
    cell = rng.normal(0, 0.05, (4, 4, 3))
    cell -= cell.mean((0, 1))
    slope = (0.01 * x - 0.003 * y)[..., None] * [1.0, 0.5, -1.0]
    found = np.asarray(flaws.weave(np.float32(slope + np.tile(cell, (25, 41, 1)))[None]))
    assert found.shape == (1, 3, 4, 5, 4, 3)
    assert np.allclose(found, np.roll(cell, (-2, -2), (0, 1))[:, None], atol=1e-4)
    noise = rng.normal(0, 0.05, (1, 100, 164, 3))
    assert np.asarray(flaws.weave(np.float32(noise))).std() < 0.05 / 6


def grating(degrees, period, side=128):
    """Fine stripes across ``degrees`` in a little noise, ``[1, side, side, 3]``."""
    y, x = np.mgrid[:side, :side]
    stripes = 0.1 * np.sin(2 * np.pi / period * (x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))))
    noise = 0.02 * np.random.default_rng(3).standard_normal((side, side, 3))
    return np.float32(0.5 + stripes[..., None] + noise)[None]


@pytest.mark.parametrize("band, period", [(0, 6.0), (1, 4.4), (2, 3.0)])
def test_lean_tells_stripes_along_rows_and_columns_from_those_askew(band, period):
    level, upright, askew = (np.asarray(flaws.lean(grating(degrees, period)))[..., band] for degrees in (90, 0, 45))
    assert level.shape == (1, 3, 3)
    assert min(level.min(), upright.min()) > 1 and askew.max() < -1
    assert np.abs(np.asarray(flaws.lean(grating(22.5, period)))[..., band]).max() < 0.6
    noise = np.float32(np.random.default_rng(4).normal(0.5, 0.1, (8, 256, 256, 3)))
    assert abs(np.asarray(flaws.lean(noise))[..., band].mean()) < 0.1, "noise leans nowhere"
    assert np.abs(np.asarray(flaws.lean(0.3 + 0 * noise))).max() < 1e-3, "nor does an even picture"


def test_hatching_is_what_neither_the_style_nor_the_content_there_has():
    striped, even = grating(0, 4.4), grating(45, 4.4)
    loss = lambda *pictures: float(flaws.hatching(*pictures))
    assert loss(striped, even, even) > 0.5
    assert loss(striped, striped, even) < 1e-6 and loss(striped, even, striped) < 0.05
    assert loss(even, even, even) < 1e-6
    half = np.concatenate([striped[:, :64], even[:, 64:]], 1)
    assert 0.2 < loss(striped, half, even) / loss(striped, even, even) < 0.9, "content counts where it is"


def test_halo_is_another_tone_around_what_stands_before_an_even_ground():
    """A dark square before a light ground, which is painted lighter around it."""
    y, x = np.mgrid[:160, :192]
    away = np.maximum(abs(y - 80), abs(x - 96)) - 24
    content = np.where(away[..., None] < 0, 0.1, 0.7) * np.ones(3)
    rng = np.random.default_rng(6)
    painted = lambda rim: np.where((away >= 0) & (away < 16), 0.6 + rim, np.where(away < 0, 0.2, 0.6))[..., None]
    strokes = rng.normal(0, 0.1, (160, 192, 3))
    loss = lambda picture, content=content: float(flaws.halo(*(np.float32(p)[None] for p in (picture, content))))
    assert 0.5 < loss(painted(0.2) * np.ones(3)) / 0.2**2 < 1  # a few pairs count a little less
    assert loss(painted(0.0) + strokes) < 0.01 * loss(painted(0.2) + strokes)
    assert loss(painted(0.1) + strokes) < 0.4 * loss(painted(0.2) + strokes)
    assert loss(painted(0.2) * np.ones(3), 0 * content + 0.7) == 0, "no edge, no halo"
    assert loss(painted(0.2) * np.ones(3), content + rng.normal(0, 1, content.shape)) == 0, "no even ground, no halo"


@pytest.fixture
def eyes():
    """A teacher of five taps that anybody can compute: the picture's channels, mixed and pooled."""
    mix = {level: np.float32(np.random.default_rng(level).normal(size=(3, 4))) for level in range(1, 6)}

    class Network:
        dtype = "float32"

        def __call__(self, rgb):
            rgb = np.asarray(rgb)
            b, h, w, _ = rgb.shape
            return {level: tf.constant(rgb.reshape(b, h // n, n, w // n, n, 3).mean((2, 4)) @ mix[level])
                    for level in mix for n in [2 ** (level - 1)]}

    return teacher.Teacher(Network(), {level: 0.5 * level for level in mix})


def test_teacher_measures_style_and_content_as_the_card_says(eyes):
    rng = np.random.default_rng(0)
    content, style, painted = (rng.random((2, 32, 48, 3)).astype(np.float32) ** power for power in (1, 2, 3))
    inputs = {"soft": np.zeros(2, np.float32)}
    inputs.update(("style_" + key, value) for key, value in eyes.grams(style).items())
    inputs.update(("content_" + key, value) for key, value in eyes.describe(content).items())
    errors, structure = eyes.losses(painted, inputs)

    grams, fourth = {}, {}
    for name, rgb in (("content", content), ("style", style), ("painted", painted)):
        for level, features in eyes.network(rgb).items():
            flat = features.numpy().astype(np.float64).reshape(2, -1, 4) / (0.5 * level)
            grams[name, level] = flat.transpose(0, 2, 1) @ flat / flat.shape[1]
            if level == 4:
                fourth[name] = flat
    norm = lambda matrices: np.sqrt((matrices**2).sum((1, 2)))
    for level, error in errors.items():
        target = grams["style", level]
        gap = np.maximum(norm(grams["content", level] - target), 0.4 * norm(target))
        assert float(error) == pytest.approx(np.mean(norm(grams["painted", level] - target) / gap), rel=1e-3)
    normal = {name: (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-5)
              for name, flat in fourth.items()}
    assert float(structure) == pytest.approx(np.mean((normal["content"] - normal["painted"])**2) / 2, rel=1e-3)


def test_teacher_sees_a_style_in_itself_and_a_blurred_picture_blurred(eyes):
    rng = np.random.default_rng(0)
    content, style = (rng.random((1, 32, 48, 3)).astype(np.float32) ** power for power in (1, 3))
    inputs = {"soft": np.zeros(1, np.float32)}
    inputs.update(("style_" + key, value) for key, value in eyes.grams(style).items())
    inputs.update(("content_" + key, value) for key, value in eyes.describe(content).items())
    assert max(float(error) for error in eyes.losses(style, inputs)[0].values()) < 0.01
    assert float(eyes.losses(content, inputs)[1]) < 1e-4
    softened = eyes.losses(style, dict(inputs, soft=np.ones(1, np.float32)))
    expected = eyes.losses(teacher.blur(style), inputs)
    assert float(softened[0][1]) > 0.02
    for a, b in zip(softened[0].values(), expected[0].values()):
        assert float(a) == pytest.approx(float(b), abs=1e-5)


@pytest.fixture(scope="module")
def material(tmp_path_factory, styles):
    """Folders of six small pictures and of two, and a teacher of VGG16's shape that has learned nothing."""
    folder = tmp_path_factory.mktemp("training")
    for n, name in enumerate(sorted(styles)[:6]):
        images.write(str(folder / "pictures" / (name + ".jpg")), styles[name][:256, :256])
        if n < 2:
            images.write(str(folder / "few" / (name + ".jpg")), styles[name][:256, :256])
    rng, arrays = np.random.default_rng(0), {}
    for name, channels, width in shapes.encoder_layers(convolutions=shapes.ALL_CONVOLUTIONS):
        kernel = rng.standard_normal((3, 3, channels, width), np.float32) * np.sqrt(2 / (9 * channels))
        arrays[name + "_kernel"], arrays[name + "_bias"] = kernel.astype(np.float16), np.zeros(width, np.float16)
    np.savez(str(folder / "teacher.npz"), **arrays)
    return folder


@pytest.fixture
def train(run, material):
    """``train(model, pictures, options...)``: what a run prints, and the weights and the entry that it exports."""

    def train(model, pictures, *options):
        process = run(
            "-m", "ros_style_transfer.training", model, "--teacher", material / "teacher.npz",
            "--photos", material / pictures, "--paintings", material / pictures, "--work", material / "work",
            "--output", material / "weights", "--batch", 1, "--size", 64, "--dtype", "float32", *options)
        assert process.returncode == 0, process.stderr[-3000:]
        return (process.stdout, *weights.load(model, str(material / "weights")))

    return train


def test_training_resumes_and_exports_weights_that_paint(train, scene, styles):
    start = lambda steps, seed: train(
        "cascade", "pictures", "--stages", "reconstruct", "--every", 2, "--steps", steps, "--seed", seed)
    output, first, entry = start(2, seed=1)
    assert "resuming" not in output
    assert set(entry) >= {"backbone", "widths", "sha256"}
    output, second, entry = start(4, seed=2)
    assert "resuming at step 2" in output
    assert "Epoch 2/2" in output and "Epoch 1/1" not in output

    for prefix in ["%s_level%d" % (part, level) for part in ("encoder", "decoder") for level in shapes.LEVELS]:
        moved = [np.abs(second[key] - first[key]).max() for key in first if key.startswith(prefix)]
        assert max(moved) > 0, "nothing was trained in " + prefix
        # Two steps move a weight by a few times the learning rate, 2e-3: the second run, whose seed
        # is another, went on from the first one's weights.
        assert max(moved) < 0.1

    painted = paint(Cascade(second, entry["widths"], entry["backbone"]), "cascade", scene, styles["mosaic"][:64, :64])
    assert painted.shape == scene.shape and np.isfinite(painted).all()


def test_ranges_are_added_to_weights_and_int8_paints_by_them(run, material, scene, styles):
    arrays, entry = weights.load("lite")
    bare = {name: array for name, array in arrays.items() if not name.endswith("_range")}
    facts = {key: entry[key] for key in ("backbone", "widths", "pairs", "ridge")}
    weights.save("lite", bare, str(material / "bare"), **facts)
    process = run("-m", "ros_style_transfer.training.ranges", "lite", "--photos", material / "pictures",
                  "--paintings", material / "pictures", "--count", 2, "--weights", material / "bare")
    assert process.returncode == 0, process.stderr[-3000:]
    found, now = weights.load("lite", str(material / "bare"))
    assert {key: now[key] for key in facts} == facts
    assert all(np.array_equal(found[name], array) for name, array in bare.items())
    assert set(found) == set(arrays)
    painted = []
    for dtype in ("int8", "float32"):
        stylizer = Stylizer("lite", dtype, str(material / "bare"))
        stylizer.set_style(styles["mosaic"])
        painted.append(np.float32(stylizer.stylize(scene)))
    assert 0 < np.abs(painted[0] - painted[1]).mean() < 6


def test_training_of_the_live_model_resumes_both_stages_and_exports_weights_that_paint(
        train, material, scene, styles):
    start = lambda steps, seed: train(
        "live", "few", "--every", 1, "--steps", steps, "--seed", seed, "--variants", 1, "--content-variants", 1)
    output, first, entry = start(1, seed=1)
    assert "resuming" not in output
    assert entry["widths"] == list(shapes.LIVE_WIDTHS) and entry["ridge"] == 0.001
    output, second, _ = start(2, seed=2)
    assert output.count("resuming at step 1") == 2
    assert output.count("Epoch 2/2") == 2 and "Epoch 1/1" not in output

    for stage, losses in (("reconstruct", ("distill", "image")), ("stylize", ("style", "content", "same", "twin"))):
        with open(str(material / "work" / ("live_%s.csv" % stage)), newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["0", "1"]
        for row in rows:
            assert all(np.isfinite(float(row[loss])) and float(row[loss]) > 0 for loss in losses), row

    assert set(second) == set(live.live_arrays(np.random.default_rng(0)))
    for part in ("encoder0", "encoder3b", "code0", "code", "decoder3a", "decoder1d", "decoder0", "image"):
        moved = np.abs(second[part + "_kernel"] - first[part + "_kernel"]).max()
        # Between the exports lies one step, which moves a weight by about the learning rate, 1e-3, at most.
        assert 0 < moved < 0.01, part

    painted = paint(Live(second, entry["widths"]), "live", scene, styles["mosaic"][:64, :64], entry["ridge"])
    assert painted.shape == scene.shape and np.isfinite(painted).all()
