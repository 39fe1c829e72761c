"""The networks against two other implementations: the judge's VGG16, and the Keras one that trains them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from ros_style_transfer.errors import WeightsError
from ros_style_transfer.models import shapes, vgg, weights


@pytest.fixture(scope="module")
def shipped():
    return weights.load("cascade")


@pytest.fixture(scope="module")
def networks():
    pytest.importorskip("keras", minversion="3.0", reason="the training's networks need Keras 3")
    from ros_style_transfer.training import networks

    return networks


@pytest.fixture(scope="module")
def picture(styles):
    """A piece of a shipped style, float32 ``[1, 192, 224, 3]``, 0..1."""
    return styles["flow_night"][40:232, 60:284][None].astype(np.float32) / 255.0


def part_of(arrays, prefix):
    """The arrays of one network under the names that the training uses."""
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}


def relative(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_preprocess_subtracts_imagenets_mean_color(styles):
    rgb = styles["mosaic"][:5, :7].astype(np.float32)
    expected = (rgb - [123.68, 116.779, 103.939]) / 255
    assert np.abs(vgg.preprocess(tf.constant(rgb / 255)).numpy() - expected).max() < 1e-6


def test_encoder_with_the_teachers_weights_sees_what_the_judge_sees(judge, teacher, networks, picture):
    arrays = {
        "encoder_level%d_%s" % (level, key): value
        for key, value in networks.load_teacher(teacher).items()
        for level in shapes.LEVELS
    }
    theirs = judge.Vgg16(teacher)(tf.constant(picture))
    # We reflect at the border, VGG pads with zeros: what a convolution adds to the reach of that, a pooling halves.
    for level, reach in {1: 1, 2: 2, 3: 3, 4: 4, 5: 4}.items():
        inside = (slice(None), slice(reach, -reach), slice(reach, -reach))
        expected = theirs[shapes.feature_layer(level)].numpy()
        ours = vgg.Encoder(level, arrays, "vgg16", shapes.VGG_WIDTHS).encode(tf.constant(picture)).numpy()
        assert ours.shape == expected.shape
        assert relative(ours[inside], expected[inside]) < 1e-4, "relu%d_1" % level


@pytest.mark.parametrize("level", shapes.LEVELS)
def test_encoder_agrees_with_the_one_that_is_trained(shipped, networks, picture, level):
    arrays, entry = shipped
    ours = vgg.Encoder(level, arrays, entry["backbone"], entry["widths"]).encode(tf.constant(picture))
    trained = networks.Encoder(part_of(arrays, "encoder_level%d_" % level), entry["backbone"])(picture, last=level)
    assert sorted(trained) == list(range(1, level + 1))
    assert relative(ours, trained[level]) < 1e-4


@pytest.mark.parametrize("level", shapes.LEVELS)
def test_decoder_agrees_with_the_one_that_is_trained(shipped, networks, picture, level):
    arrays, entry = shipped
    features = vgg.Encoder(level, arrays, entry["backbone"], entry["widths"]).encode(tf.constant(picture))
    ours = vgg.Decoder(level, arrays, entry["backbone"], entry["widths"]).decode(features)
    assert ours.shape == picture.shape
    trained = networks.Decoder(part_of(arrays, "decoder_"), entry["backbone"])
    assert relative(ours, trained.decode(features, level)) < 1e-4


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
@pytest.mark.parametrize("level", shapes.LEVELS)
def test_decoder_doubles_the_sides_at_every_level_above_the_first(backbone, level):
    widths = (3, 4, 5, 6, 7)
    arrays = {}
    for name, channels, width in shapes.decoder_layers(level, backbone, widths):
        arrays["decoder_%s_kernel" % name] = np.zeros((3, 3, channels, width), np.float32)
        arrays["decoder_%s_bias" % name] = np.full(width, 0.25, np.float32)
    rgb = vgg.Decoder(level, arrays, backbone, widths).decode(tf.zeros((1, 3, 5, widths[level - 1])))
    assert rgb.shape == (1, 3 * 2 ** (level - 1), 5 * 2 ** (level - 1), 3)
    assert np.allclose(rgb, 0.25)


@pytest.mark.parametrize(
    "network, name",
    [
        (functools.partial(vgg.Encoder, 5), "encoder_level5_block3_conv2_kernel"),
        (functools.partial(vgg.Encoder, 2), "encoder_level2_block1_conv1_bias"),
        (functools.partial(vgg.Decoder, 5), "decoder_level5_block5_conv1_kernel"),
        (functools.partial(vgg.Decoder, 3), "decoder_level3_block1_conv1_bias"),
    ],
)
def test_missing_and_misshapen_arrays_are_named(shipped, network, name):
    arrays, entry = shipped
    with pytest.raises(WeightsError, match=name + ".* nothing"):
        network({key: value for key, value in arrays.items() if key != name}, entry["backbone"], entry["widths"])
    cut = arrays[name][..., :-1]
    with pytest.raises(WeightsError) as error:
        network(dict(arrays, **{name: cut}), entry["backbone"], entry["widths"])
    assert name in str(error.value) and str(cut.shape) in str(error.value)


def test_shipped_weights_are_not_those_of_another_backbone(shipped):
    arrays, entry = shipped
    with pytest.raises(WeightsError, match="block3_conv4_kernel"):
        vgg.Encoder(5, arrays, "vgg19", entry["widths"])
