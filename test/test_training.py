"""The training: its pieces against numpy and the runtime, and a tiny run from pictures to painted pixels."""
import os

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("keras", minversion="3.0", reason="the training needs Keras 3")

from ros_style_transfer import architecture, images, wct, weights
from ros_style_transfer.cascade import Cascade
from ros_style_transfer.training import cascade, data, networks


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
    for name, channels, width in architecture.encoder_layers():
        kernel = rng.standard_normal((3, 3, channels, width), np.float32)
        teacher[name + "_kernel"] = kernel * np.sqrt(2 / (9 * channels)).astype(np.float32)
        teacher[name + "_bias"] = np.zeros(width, np.float32)
    pictures = np.stack([styles[name][:192, :192] for name in ("flow_night", "mosaic")]).astype(np.float32) / 255
    arrays, heads = networks.thin(teacher, pictures, "vgg16", widths, rng, count=4000)
    for name, channels, width in architecture.encoder_layers("vgg16", widths):
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
    assert np.allclose(data.gram(features), expected, rtol=1e-5, atol=1e-5)


def test_batches_depend_on_seed_and_number_alone(scene):
    make = lambda seed: data.Batches([scene], [scene[::-1]], None, 2, 48, 5, (seed, 0))
    first, again, other = make(1)[3][0]["content"], make(1)[3][0]["content"], make(2)[3][0]["content"]
    assert first.shape == (2, 48, 48, 3) and first.dtype == np.float32 and 0 <= first.min() and first.max() <= 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, make(1)[4][0]["content"])


def test_training_whitens_and_colours_as_the_runtime_does():
    rng = np.random.default_rng(0)
    content, style = (
        (rng.normal(size=(2, 12, 14, 16)) @ rng.normal(size=(16, 16)) + rng.normal(size=16)).astype(np.float32)
        for _ in range(2))
    trained = np.asarray(cascade.whiten_colour(content, *cascade.statistics(style), ridge=wct.RIDGE))
    for n in range(2):
        runtime = wct.transform(tf.constant(content[n]), wct.style_of(tf.constant(style[n]))).numpy()
        assert np.linalg.norm(trained[n] - runtime) < 1e-3 * np.linalg.norm(runtime)


def test_training_paints_what_the_runtime_paints(scene, styles):
    """The cascade whose output the losses judge is the one that users get."""
    arrays, entry = weights.load("cascade")
    parts = [{key[8:]: value for key, value in arrays.items() if key.startswith(prefix)}
             for prefix in ("encoder_", "decoder_")]
    trainer = cascade.CascadeTrainer(networks.Encoder(parts[0]), {}, *parts, {}, entry["backbone"], wct.RIDGE)
    style = styles["mosaic"][:128, :160]
    trained = trainer.stylize(*(picture[None].astype(np.float32) / 255 for picture in (scene, style)), np.array([5]))
    network = Cascade(arrays, entry["backbone"], entry["widths"])
    painted = network.paint(tf.constant(scene), network.style_of(tf.constant(style)), tf.constant(1.0)).numpy()
    # The five levels stretch the float32 rounding of ten eigendecompositions.
    assert np.abs(np.clip(np.asarray(trained)[0], 0, 1) * 255 - painted).mean() < 1


@pytest.fixture(scope="module")
def material(tmp_path_factory, styles):
    """A folder of six small pictures, and a teacher of VGG16's shape that has learned nothing."""
    folder = tmp_path_factory.mktemp("training")
    for name in sorted(styles)[:6]:
        images.write(str(folder / "pictures" / (name + ".jpg")), styles[name][:256, :256])
    rng, arrays = np.random.default_rng(0), {}
    for name, channels, width in architecture.encoder_layers():
        kernel = rng.standard_normal((3, 3, channels, width), np.float32) * np.sqrt(2 / (9 * channels))
        arrays[name + "_kernel"], arrays[name + "_bias"] = kernel.astype(np.float16), np.zeros(width, np.float16)
    np.savez(str(folder / "teacher.npz"), **arrays)
    return folder


def test_training_resumes_and_exports_weights_that_paint(run, material, scene, styles):
    def train(steps, seed):
        process = run(
            "-m", "ros_style_transfer.training", "cascade", "--teacher", material / "teacher.npz",
            "--photos", material / "pictures", "--paintings", material / "pictures", "--work", material / "work",
            "--output", material / "weights", "--stages", "reconstruct", "--steps", steps, "--every", 2,
            "--batch", 1, "--size", 64, "--dtype", "float32", "--seed", seed)
        assert process.returncode == 0, process.stderr[-3000:]
        arrays, entry = weights.load("cascade", str(material / "weights"))
        return process.stdout, arrays, entry

    output, first, entry = train(2, seed=1)
    assert "resuming" not in output
    assert set(entry) >= {"backbone", "widths", "sha256"}
    output, second, entry = train(4, seed=2)
    assert "resuming at step 2" in output
    assert "Epoch 2/2" in output and "Epoch 1/1" not in output

    for prefix in ("encoder_", "decoder_"):
        moved = [np.abs(second[key] - first[key]).max() for key in first if key.startswith(prefix)]
        assert max(moved) > 0, "nothing was trained in the " + prefix[:-1]
        # Two of Adam's steps move a weight by a few times the learning rate, 1.5e-3: the second run, whose seed
        # is another, went on from the first one's weights.
        assert max(moved) < 0.1

    network = Cascade(second, entry["backbone"], entry["widths"], levels=(2, 1))
    style = network.style_of(tf.constant(styles["mosaic"][:64, :64]))
    painted = network.paint(tf.constant(scene), style, tf.constant(1.0)).numpy()
    assert painted.shape == scene.shape and painted.dtype == np.uint8
