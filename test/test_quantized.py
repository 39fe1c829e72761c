"""The precision int8: one layer against the arithmetic in numpy, whole pictures against those in floats."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_scene
from references import WIDTHS, encode, random_arrays

from ros_style_transfer.controls import Controls
from ros_style_transfer.errors import OptionError, WeightsError
from ros_style_transfer.media import images
from ros_style_transfer.models import device, quantized, shapes, weights
from ros_style_transfer.stylizer import Stylizer
from ros_style_transfer.transfer import calibration, quantized_pipeline
from ros_style_transfer.transfer.loading import load_pipeline

MODELS = ("live", "lite")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, styles):
    """The shipped weights with activation ranges of a few pictures."""
    path = str(tmp_path_factory.mktemp("weights"))
    contents = [draw_scene(128, 96, seed) for seed in range(3)] + [styles["cubism"][100:228, 60:220]]
    for model in MODELS:
        arrays, entry = weights.load(model)
        found = calibration.activation_ranges(
            arrays,
            entry,
            contents,
            [styles[name][:160, :160] for name in ("mosaic", "ink_wash", "flow_night")],
            Controls().resolved(model),
        )
        facts = {key: entry[key] for key in ("backbone", "widths", "blocks", "ridge")}
        weights.save(model, dict(arrays, **found), path, **facts)
    return path


@pytest.fixture(scope="module", params=MODELS)
def pair(request, folder, styles):
    """A model in integers and in floats, with a style."""
    both = [Stylizer(request.param, precision, folder) for precision in ("int8", "float32")]
    for stylizer in both:
        stylizer.set_style(styles["mosaic"])
    return both


def decibels(found, expected):
    return 10 * np.log10(255**2 / np.mean((np.float32(found) - expected) ** 2))


def rounded(x, low, high):
    """To the nearest of 256 values from ``low`` to ``high``, of which 0 is one (Jacob et al. 2018, section 3)."""
    step = (high - low) / 255
    zero = round(-low / step)
    return step * (np.clip(np.round(x / step) + zero, 0, 255) - zero)


def test_a_layer_is_quantized_as_in_numpy():
    rng = np.random.default_rng(0)
    given, made = (0.0, 2.0), (0.0, 5.0)
    arrays = {
        "a_kernel": np.float32(rng.normal(0, 0.2, (3, 3, 8, 16))),
        "a_bias": np.float32(rng.normal(0, 0.5, 16)),
        "a_range": np.float32([given, made]),
    }
    x = np.float32(rng.uniform(0, 2, (12, 14, 8)))
    function = quantized.TFLiteFunction(
        lambda x: quantized.QuantizedConvolutions([("a", 3, 1, 8, 16)], arrays, "", tf.float32)(x[None], "a")[0]
    )
    largest = np.abs(arrays["a_kernel"]).max((0, 1, 2)) / 127
    kernel = np.round(arrays["a_kernel"] / largest) * largest
    padded = np.pad(rounded(x, *given), ((1, 1), (1, 1), (0, 0)), "reflect")
    exact = sum(padded[dy : dy + 12, dx : dx + 14] @ kernel[dy, dx] for dy in range(3) for dx in range(3))
    expected = rounded(np.maximum(exact + arrays["a_bias"], 0), *made)
    found = function(x)
    step = made[1] / 255
    assert found.shape == (12, 14, 16) and (found == expected).mean() > 0.97  # ties may fall either way
    assert np.abs(found - expected).max() < 1.01 * step
    assert len(np.unique(found)) <= 256


def test_a_tflite_function_takes_any_size():
    function = quantized.TFLiteFunction(
        lambda x, matrix: {"product": tf.matmul(x, matrix[None]), "sum": tf.reduce_sum(x, (0, 1))}
    )
    rng = np.random.default_rng(0)
    for height, width in ((3, 5), (16, 4), (3, 5)):
        x, matrix = np.float32(rng.normal(size=(height, width, 4))), np.float32(rng.normal(size=(4, 4)))
        found = function(x, matrix)
        assert sorted(found) == ["product", "sum"]
        assert np.allclose(found["product"], x @ matrix, atol=1e-5)
        assert np.allclose(found["sum"], x.sum((0, 1)), atol=1e-4)


@pytest.mark.parametrize("size", [(320, 240), (250, 131), (320, 240)])
def test_pictures_are_close_to_those_in_floats(pair, size):
    content = draw_scene(*size)
    found, expected = (stylizer.stylize(content) for stylizer in pair)
    assert found.shape == content.shape and found.dtype == np.uint8
    print("int8 is %.1f dB from float32" % decibels(found, expected))
    assert 30 < decibels(found, expected) < 60
    assert decibels(content, expected) < 20


@pytest.mark.parametrize(
    "controls",
    [
        {"method": "wct"},
        {"method": "adain"},
        {"levels": (2, 1)},
        {"levels": (0,)},
        {"level_strength": {1: 0.5, 0: 0.0}},
        {"passes": 2},
    ],
    ids=lambda given: ",".join(given),
)
def test_controls_have_the_same_effect_as_in_floats(pair, scene, controls):
    found, expected = (stylizer.stylize(scene, Controls(**controls)) for stylizer in pair)
    plain = pair[1].stylize(scene)
    assert decibels(found, expected) > max(20, 3 + decibels(plain, expected))


def test_styles_mix_and_change(pair, styles, scene):
    painted = []
    try:
        for stylizer in pair:
            stylizer.set_styles([styles["ink_wash"], styles["mosaic"]], [0.3, 0.7])
            painted.append(stylizer.stylize(scene))
    finally:
        for stylizer in pair:
            stylizer.set_style(styles["mosaic"])
    assert decibels(*painted) > 30


def test_masks_swap_tiles_and_large_pictures_are_computed_in_floats(pair, scene, monkeypatch):
    mask = np.zeros(scene.shape[:2], np.uint8)
    mask[:, 40:] = 255
    for given in ({"mask": mask}, {"controls": Controls(method="whiten")}, {"controls": Controls(swap=0.5)}):
        assert np.array_equal(*(stylizer.stylize(scene, **given) for stylizer in pair))
    monkeypatch.setattr(quantized_pipeline, "MAX_INT8_PIXELS", 9999)
    assert np.array_equal(*(stylizer.stylize(scene) for stylizer in pair))
    for stylizer in pair:
        monkeypatch.setattr(stylizer, "_tile_side", lambda height, width: 128)
    assert np.array_equal(*(stylizer.stylize(draw_scene(640, 480)) for stylizer in pair))


def test_activation_ranges_are_the_bounds_of_nine_of_ten_pictures():
    arrays, blocks = random_arrays(), shapes.LIVE_BLOCKS
    contents = [draw_scene(64, 48), 255 - draw_scene(64, 48)]
    found = calibration.activation_ranges(
        arrays, {"widths": WIDTHS, "blocks": blocks, "ridge": 1e-3}, contents, contents[:1], Controls().resolved("live")
    )
    layers = shapes.live_layers(WIDTHS, blocks)
    assert sorted(found) == sorted(name + "_range" for name in layers if name not in ("style_code", "modulation"))
    seen = [encode(rgb / 255, arrays) for rgb in contents]
    for name, level in (("encoder1b", 1), ("encoder2b", 2)):
        low, high = zip(*((taps[level].min(), taps[level].max()) for taps in seen))
        usual = 0.9 * min(low) + 0.1 * max(low), 0.1 * min(high) + 0.9 * max(high)  # of two
        assert np.allclose(found[name + "_range"][1], usual, atol=1e-3)
    given, made = found["encoder2a_range"]
    high = [taps[1].max() for taps in seen]
    assert np.allclose(given, (0, 0.1 * min(high) + 0.9 * max(high)), atol=1e-3) and made[0] == 0
    # The image's, too: its colors are given the style's after it, so what is out of 0..1 is not cut off yet.
    low, high = found["image_range"][1]
    assert low < -0.485 and high > 0.592


@pytest.mark.parametrize("model", MODELS)
def test_weights_without_ranges_work_only_in_floats(tmp_path, model, scene, styles):
    arrays, entry = weights.load(model)
    facts = {key: entry[key] for key in ("backbone", "widths", "blocks", "ridge")}
    weights.save(model, {name: array for name, array in arrays.items() if "range" not in name}, str(tmp_path), **facts)
    with pytest.raises(WeightsError, match="no activation ranges.*training.calibrate"):
        load_pipeline(model, "int8", str(tmp_path))
    stylizer = Stylizer(model, "auto", str(tmp_path))
    assert stylizer.precision in ("float32", "bfloat16")
    stylizer.set_style(styles["mosaic"])
    assert stylizer.stylize(scene).shape == scene.shape


@pytest.mark.parametrize("speedup, chosen", [(1.5, "float"), (2.4, "live"), (5.0, "both")])
def test_auto_chooses_int8_if_its_speedup_suffices(monkeypatch, folder, speedup, chosen):
    monkeypatch.setattr(device, "int8_speedup", lambda dtype: speedup)
    found = [Stylizer(model, "auto", folder).precision == "int8" for model in MODELS]
    assert found == {"float": [False, False], "live": [True, False], "both": [True, True]}[chosen]
    assert Stylizer("cascade", "auto").precision != "int8"


def test_the_cascade_has_no_int8():
    with pytest.raises(OptionError, match="int8 is available for live and lite only"):
        Stylizer("cascade", "int8")


def test_the_conversion_log_is_suppressed(tmp_path, folder, scene):
    given, painted = str(tmp_path / "given.png"), str(tmp_path / "painted.png")
    images.write(given, scene)
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "ros_style_transfer",
            "stylize",
            given,
            "-o",
            painted,
            "--style",
            "mosaic",
            "--model",
            "lite",
            "--precision",
            "int8",
            "--weights-dir",
            folder,
        ],
        check=True,
        stderr=subprocess.PIPE,
        text=True,
    ).stderr
    assert not [line for line in said.splitlines() if "painted.png" not in line and line.strip()]
    assert images.read(painted).shape == scene.shape
