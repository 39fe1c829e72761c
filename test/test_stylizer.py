"""Painting with the shipped weights: what a user gets for a picture."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_scene

from ros_style_transfer import controls as controls_module
from ros_style_transfer import resources
from ros_style_transfer.controls import Controls
from ros_style_transfer.errors import ImageError, OptionError
from ros_style_transfer.media import images
from ros_style_transfer.stylizer import MAX_CACHED_STYLES, Stylizer


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer("cascade", "float32")


@pytest.fixture(scope="module")
def half():
    """``half(precision)``: a stylizer of that precision, made once."""
    return functools.lru_cache(None)(lambda precision: Stylizer("cascade", precision))


@pytest.fixture(scope="module")
def of_model():
    """``of_model(model)``: a stylizer of that model, made once; its graphs are traced once."""
    return functools.lru_cache(None)(lambda model: Stylizer(model, "float32"))


def paint(stylizer, style, picture, **controls):
    stylizer.set_style(style)
    return stylizer.stylize(picture, Controls(**controls))


def colours(rgb):
    """The mean and the standard deviation of each channel."""
    flat = rgb.reshape(-1, 3).astype(float)
    return np.concatenate([flat.mean(0), flat.std(0)])


def luma(rgb):
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def difference(a, b):
    """Mean absolute difference in grey levels."""
    return np.abs(a.astype(float) - b.astype(float)).mean()


def one_colour(colour, width=64, height=64):
    return np.full((height, width, 3), colour, np.uint8)


@pytest.mark.parametrize("width, height", [(37, 53), (100, 70), (16, 16), (1, 1), (1, 40), (2, 3), (640, 20), (64, 48)])
def test_every_size_is_kept(stylizer, styles, width, height):
    picture = draw_scene(width, height)
    before = picture.copy()
    painted = paint(stylizer, styles["mosaic"], picture)
    assert painted.shape == (height, width, 3) and painted.dtype == np.uint8
    assert np.array_equal(picture, before), "the caller's picture was changed"


def traced(stylizer):
    """How often TensorFlow has traced a graph of this stylizer's, of all its graphs."""
    pipeline = stylizer._pipeline
    held = [value for owner in (pipeline, pipeline.transforms, pipeline.network) for value in vars(owner).values()]
    held += [graph for value in held if isinstance(value, dict) for graph in value.values()]
    return sum(graph.experimental_get_tracing_count() for graph in held if hasattr(graph, "get_concrete_function"))


def test_another_size_and_other_controls_never_retrace_a_graph(styles):
    fresh = Stylizer("cascade", "float32")
    paint(fresh, styles["mosaic"], draw_scene(48, 64))
    before = traced(fresh)
    assert before >= 10, "an encoder and a decoder for each of five levels"
    for size in ((33, 70), (100, 32)):
        for controls in (
            {},
            {"strength": 0.5},
            {"levels": (3, 4)},
            {"passes": 2},
            {"level_strength": {5: 0.2}},
            {"keep_colours": "luminance"},
            {"style_scale": 0.5},
        ):
            paint(fresh, styles["mosaic"], draw_scene(*size), **controls)
    assert traced(fresh) == before


def test_painting_gives_the_styles_colours(stylizer, styles, scene):
    for name, style in styles.items():
        before = np.linalg.norm(colours(scene) - colours(style))
        after = np.linalg.norm(colours(paint(stylizer, style, scene)) - colours(style))
        assert after < 0.6 * before, name


def test_different_styles_give_different_pictures(stylizer, styles, scene):
    painted = [paint(stylizer, styles[name], scene) for name in ("mosaic", "ink_wash", "woodcut")]
    assert all(difference(a, b) > 10 for n, a in enumerate(painted) for b in painted[:n])


def test_painting_keeps_the_scenes_structure(stylizer, styles, scene):
    unrelated = draw_scene(160, 128, seed=9)
    painted = luma(paint(stylizer, styles["watercolour"], scene)).ravel()
    own, other = (abs(np.corrcoef(painted, luma(s).ravel())[0, 1]) for s in (scene, unrelated))
    assert own > 2 * other


@pytest.mark.parametrize("style", ["mosaic", "ink_wash"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 40, 40), (128, 128, 128)])
def test_flat_content_is_painted_in_the_styles_colours(stylizer, styles, style, colour):
    painted, wanted = colours(paint(stylizer, styles[style], one_colour(colour))), colours(styles[style])
    assert np.abs(painted[:3] - wanted[:3]).max() < 32
    assert (painted[3:] > 0.5 * wanted[3:]).all(), "nothing is left bare"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_flat_content_in_half_precision_is_as_in_full(stylizer, half, styles, precision):
    for colour in ((0, 0, 0), (255, 255, 255), (128, 128, 128)):
        pair = [paint(s, styles["ink_wash"], one_colour(colour)) for s in (stylizer, half(precision))]
        assert difference(*pair) < 16, colour


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 40, 40), (20, 90, 180)])
def test_style_of_one_colour_colours_everything(stylizer, scene, colour):
    painted = paint(stylizer, one_colour(colour), scene)
    assert np.abs(colours(painted)[:3] - colour).max() < 32
    assert colours(painted)[3:].max() < 8


def test_strength_leads_from_the_content_to_the_style(stylizer, styles, scene):
    distances = [
        difference(paint(stylizer, styles["mosaic"], scene, strength=strength), scene) for strength in (0, 0.3, 1.0)
    ]
    assert distances[0] == 0
    assert 0 < distances[1] < 0.9 * distances[2]


def test_level_one_alone_keeps_more_structure_than_all(stylizer, styles, scene):
    kept = []
    for levels in ((1,), None):
        painted = [
            luma(paint(stylizer, styles[name], scene, levels=levels)).ravel()
            for name in ("mosaic", "watercolour", "cubism")
        ]
        kept.append(np.mean([np.corrcoef(p, luma(scene).ravel())[0, 1] for p in painted]))
    assert kept[0] > kept[1] + 0.05


def test_same_picture_gives_the_same_painting(stylizer, styles, scene):
    first = paint(stylizer, styles["cubism"], scene)
    paint(stylizer, styles["mosaic"], draw_scene(50, 90))
    assert np.array_equal(paint(stylizer, styles["cubism"], scene), first)


@pytest.fixture
def encoded(stylizer, monkeypatch):
    """The sizes of the style pictures that the network is asked to encode from now on."""
    network = stylizer._pipeline.network
    sizes, encode = [], network.encode

    def counting(rgb, levels):
        if levels == network.style_levels:
            sizes.append((int(rgb.shape[1]), int(rgb.shape[0])))
        return encode(rgb, levels)

    monkeypatch.setattr(network, "encode", counting)
    return sizes


def test_style_is_encoded_once_per_content_size(stylizer, encoded, styles):
    for width, height in ((64, 48), (64, 48), (64, 32), (96, 64), (64, 48)):
        paint(stylizer, styles["mosaic"][::-1], draw_scene(width, height))  # a style not seen before
    assert encoded == [(64, 64), (96, 96)]  # at the content's longer side


def test_going_back_to_an_earlier_style_encodes_nothing(stylizer, encoded, styles):
    for name in ("mosaic", "cubism", "mosaic", "cubism"):
        paint(stylizer, styles[name][:, ::-1], draw_scene(64, 48))
    assert len(encoded) == 2


def test_a_look_that_was_seen_before_encodes_nothing_whatever_else_is_painted_between(stylizer, encoded, styles):
    looks = [{"style_scale": 0.5}, {"style_crop": 0.5}, {"swap": 0.5, "swap_patch": 1}, {"keep_colours": "coral"}]
    for _ in range(2):
        for controls in looks:
            paint(stylizer, styles["mosaic"][:, 100:], draw_scene(64, 48), **controls)
    assert len(encoded) == len(looks)
    for controls in ({"strength": 0.5}, {"levels": (2, 1)}, {"passes": 2}, {"method": "ot"}, {"feather": 1.0}):
        paint(stylizer, styles["mosaic"][:, 100:], draw_scene(64, 48), style_scale=0.5, **controls)
    assert len(encoded) == len(looks)


def test_memory_of_styles_is_bounded_and_holds_those_of_late(stylizer, encoded):
    looks = [one_colour((value, 0, 255 - value), 8, 8) for value in range(MAX_CACHED_STYLES + 10)]
    content = draw_scene(16, 16)
    for n, look in enumerate(looks):
        paint(stylizer, look, content)
        if n % 8 == 0:
            paint(stylizer, looks[0], content)  # the first one is in use all the time
    assert len(stylizer._style_cache) == MAX_CACHED_STYLES
    assert len(encoded) == len(looks)
    for look in (looks[0], *looks[:-MAX_CACHED_STYLES:-1]):
        paint(stylizer, look, content)
    assert len(encoded) == len(looks), "one of the latest was forgotten"
    paint(stylizer, looks[1], content)
    assert len(encoded) == len(looks) + 1


def test_style_is_what_the_array_held_when_it_was_set(stylizer, styles, scene):
    style = styles["cubism"][::-1, ::-1]
    buffer = style.copy()
    stylizer.set_style(buffer)
    buffer[:] = 0  # as a camera's driver does
    painted = stylizer.stylize(scene), stylizer.stylize(scene, Controls(style_crop=0.9))
    assert np.array_equal(painted[0], paint(Stylizer("cascade", "float32"), style, scene))
    assert np.array_equal(painted[1], paint(Stylizer("cascade", "float32"), style, scene, style_crop=0.9))


def test_style_smaller_than_the_content_is_not_enlarged(stylizer, encoded, styles):
    small = images.resize(styles["mosaic"], 48, 32)
    for side in (96, 128):
        paint(stylizer, small, draw_scene(side, side))
    assert encoded == [(48, 32)]


def test_style_keeps_its_proportions(stylizer, encoded, styles):
    paint(stylizer, styles["mosaic"][:256], draw_scene(64, 96))
    assert encoded == [(96, 48)]


@pytest.mark.parametrize("precision, bound", [("bfloat16", 20), ("float16", 5)])
def test_half_precision_paints_nearly_the_same(stylizer, half, styles, scene, precision, bound):
    for name in ("mosaic", "ink_wash", "woodcut"):
        pair = [paint(s, styles[name], scene) for s in (stylizer, half(precision))]
        # Some fifty convolutions round to 8 or 11 bits, and whitening stretches what they leave: 4..10 and
        # 0.6..1.6 levels were seen.
        assert 0 < difference(*pair) < bound, name
        assert np.abs(colours(pair[0]) - colours(pair[1])).max() < 5, name


def test_without_a_style_the_error_says_what_to_call(scene):
    fresh = Stylizer("cascade", "float32")
    for paint_something in (
        lambda: fresh.stylize(scene),
        lambda: fresh.texture(32, 32),
        fresh.warm_up,
        lambda: fresh.stylize(scene, mask=np.zeros(scene.shape[:2], np.uint8)),
    ):
        with pytest.raises(OptionError, match="set_style"):
            paint_something()


def test_warming_up_needs_no_picture_and_changes_none(stylizer, styles, scene):
    expected = paint(stylizer, styles["mosaic"], scene, smoothing=0.0)
    stylizer.warm_up()
    stylizer.warm_up(40, 33, Controls(method="ot", smoothing=0.5))
    assert np.array_equal(stylizer.stylize(scene), expected)


@pytest.mark.parametrize(
    "picture, found",
    [
        (np.zeros((32, 32, 3), np.float32), r"float32 \(32, 32, 3\)"),
        (np.zeros((32, 32), np.uint8), r"uint8 \(32, 32\)"),
        (np.zeros((32, 32, 4), np.uint8), r"\(32, 32, 4\)"),
        (np.zeros((0, 5, 3), np.uint8), "5x0"),
        ("x.jpg", "str"),
    ],
)
def test_what_is_no_picture_is_named(stylizer, styles, picture, found):
    stylizer.set_style(styles["mosaic"])
    with pytest.raises(ImageError, match=found):
        stylizer.stylize(picture)
    with pytest.raises(ImageError, match=found):
        stylizer.set_style(picture)


@pytest.mark.parametrize(
    "options, value, allowed",
    [({"model": "gatys"}, "'gatys'", "cascade"), ({"precision": "float64"}, "'float64'", "float32, bfloat16, float16")],
)
def test_wrong_options_name_the_value_and_what_is_allowed(options, value, allowed):
    with pytest.raises(OptionError, match=value) as error:
        Stylizer(**options)
    assert allowed in str(error.value)


@pytest.mark.parametrize(
    "controls, value, allowed",
    [
        ({"levels": (9,)}, "9", "5,4,3,2,1"),
        ({"levels": ()}, r"\(\)", "5,4,3,2,1"),
        ({"levels": (3, 3)}, r"\(3, 3\)", "each once"),
        ({"method": "adam"}, "'adam'", "wct, ot, adain, whiten"),
        ({"swap": 0.5, "method": "ot"}, "ot", "wct"),
    ],
)
def test_wrong_controls_name_the_value_and_what_is_allowed(stylizer, styles, scene, controls, value, allowed):
    stylizer.set_style(styles["mosaic"])
    with pytest.raises(OptionError, match=value) as error:
        stylizer.stylize(scene, Controls(**controls))
    assert allowed in str(error.value)


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan"), "much", None])
def test_wrong_strength_is_named(stylizer, styles, scene, strength):
    stylizer.set_style(styles["mosaic"])
    with pytest.raises(OptionError, match="0 to 1") as error:
        stylizer.stylize(scene, Controls(strength=strength))
    assert repr(strength) in str(error.value)


@pytest.mark.parametrize("model", ["live", "lite", "cascade"])
@pytest.mark.parametrize(
    "look",
    [
        {},
        {"method": "adain"},
        {"method": "wct", "strength": 0.6},
        {"method": "whiten"},
        {"method": "ot", "passes": 2},
        {"swap": 0.7},
        "mask",
        "mixture",
    ],
    ids=str,
)
def test_what_does_not_fit_is_painted_in_tiles_and_looks_the_same(of_model, model, look, styles, monkeypatch):
    """Seams, other statistics, another canvas: anything that a tile does not share with the whole would show."""
    stylizer = of_model(model)
    controls = Controls(**({} if isinstance(look, str) else look))
    stylizer.set_styles([styles["mosaic"], styles["ink_wash"]][: 2 if isinstance(look, str) else 1])
    rgb, mask = draw_scene(430, 330), None
    if look == "mask":
        mask = np.zeros((330, 430), np.uint8)
        mask[100:, :200], mask[40:230, 250:] = 1, 2
    whole, told = stylizer.stylize(rgb, controls, mask), []
    monkeypatch.setattr(stylizer, "_tile_side", lambda height, width: 128)
    tiled = stylizer.stylize(rgb, controls._replace(), mask, progress=told.append)
    assert 10 * np.log10(255**2 / max(1e-9, np.mean((np.float64(tiled) - whole) ** 2))) > 50
    assert len(told) >= 24 and told == sorted(told) and told[-1] == 1


def test_tiles_are_as_large_as_the_memory_allows(stylizer, styles, monkeypatch):
    stylizer.set_style(styles["mosaic"])
    megapixels = lambda number: (1000, 1000 * number)
    sides = []
    for free in (1e9, 400e6, 300e6):
        monkeypatch.setattr(resources, "available_memory", lambda free=free: free)
        sides.append(stylizer._tile_side(*megapixels(1)))
    assert sides[0] is None and sides[1] > sides[2] >= 128 and sides[1] % 16 == 0
    assert stylizer._tile_side(*megapixels(2)) < sides[2]


def test_what_there_is_no_memory_for_is_refused_with_the_figures(stylizer, styles, monkeypatch):
    stylizer.set_style(styles["mosaic"])
    monkeypatch.setattr(resources, "available_memory", lambda: 60e6)
    with pytest.raises(ImageError, match="stylizing 1000x1000 with cascade takes at least 1.. MB, but only 60 MB are"):
        stylizer.stylize(np.zeros((1000, 1000, 3), np.uint8))
    assert stylizer.stylize(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64, 3)


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM")])
def test_a_picture_that_memory_runs_out_for_is_stylized_in_tiles(stylizer, styles, monkeypatch, error):
    stylizer.set_style(styles["mosaic"])
    rgb, paint, sides = draw_scene(430, 330), stylizer._pipeline.stylize, []
    whole = stylizer.stylize(rgb)

    def exhausted(padded, regions, controls, side, progress):
        sides.append(side)
        if side is None or side > 160:
            raise error
        return paint(padded, regions, controls, side, progress)

    monkeypatch.setattr(stylizer._pipeline, "stylize", exhausted)
    for _ in range(2):
        tiled = stylizer.stylize(rgb, stream=repr(error))
        assert 10 * np.log10(255**2 / np.mean((np.float64(tiled) - whole) ** 2)) > 50
    assert sides[0] is None and 128 <= sides[-1] <= 160
    assert sides.count(None) == 1, "the second frame is tiled at once"
    monkeypatch.setattr(stylizer._pipeline, "stylize", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(ImageError, match="not enough memory to stylize 430x330 with cascade, even in tiles"):
        stylizer.stylize(rgb, stream="none" + repr(error))
    monkeypatch.undo()
    assert np.array_equal(stylizer.stylize(rgb), whole), "the next picture goes on"


def test_auto_is_one_of_the_precisions_that_look_alike_and_says_which(styles, scene):
    chosen = Stylizer("lite", "auto")
    assert chosen.precision in ("float32", "bfloat16", "float16", "int8")
    plain = Stylizer("lite", "float32")
    assert plain.precision == "float32"
    for stylizer in (chosen, plain):
        stylizer.set_style(styles["mosaic"])
    apart = np.abs(np.float32(chosen.stylize(scene)) - plain.stylize(scene))
    assert apart.mean() < 3


def test_memory_that_a_process_is_allowed_counts_what_it_has_taken():
    before = resources.own_memory()
    block = np.ones(25_000_000)  # 200 MB
    assert 195e6 < resources.own_memory() - before < 230e6
    del block
    taken = resources.own_memory() / 1e6
    assert taken < before / 1e6 + 30
    allowed = Stylizer("live", "float32", max_memory=taken + 400)
    assert allowed._tile_side(1000, 1000) is None and allowed._tile_side(2000, 2000) is not None
    with pytest.raises(ImageError, match="max_memory"):
        Stylizer("live", max_memory=10)._tile_side(1000, 1000)
    with pytest.raises(OptionError, match="max_memory"):
        Stylizer("live", max_memory=-1)


MEASURE = """
import re, sys
import numpy as np
from ros_style_transfer.models.registry import MODELS
from ros_style_transfer.stylizer import Stylizer
# Of this program alone; what `resource` tells begins with the peak of the one that started it.
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
picture = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8)
stylizer = Stylizer(sys.argv[1], "float32")
stylizer.set_style(picture[:256, :256])
stylizer.warm_up(256, 256)
before = peak()
stylizer.stylize(picture)
print((peak() - before) / 1400**2, MODELS[sys.argv[1]].bytes_per_pixel)
"""


@pytest.mark.parametrize("model", ["live", "lite", "cascade"])
def test_a_pixel_takes_the_memory_that_is_estimated(model):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, model],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
    )
    measured, estimated = map(float, done.stdout.split())
    assert 0.4 * estimated < measured < estimated


# What is done once, and what for every frame


def test_frames_with_the_same_controls_are_checked_and_their_memory_is_read_once(stylizer, styles, monkeypatch):
    checks, readings = [], []
    check, free = controls_module.check, resources.available_memory
    monkeypatch.setattr(controls_module, "check", lambda *arguments: checks.append(arguments) or check(*arguments))
    monkeypatch.setattr(resources, "available_memory", lambda: readings.append(1) or free())
    stylizer.set_style(styles["mosaic"][:64, :64])
    controls, frames = Controls(levels=(1,)), [draw_scene(64, 48), draw_scene(48, 64)]

    def counts(*frames_of_streams, controls=controls):
        del checks[:], readings[:]
        for stream, frame in frames_of_streams:
            stylizer.stylize(frame, controls, stream=stream)
        return len(checks), len(readings)

    counts(("front", frames[0]))  # encodes the style
    assert counts(*[("front", frames[0])] * 3) == (0, 0)
    assert counts(("front", frames[0]), ("rear", frames[1]), ("front", frames[0]), ("rear", frames[1])) == (0, 1)
    assert counts(("front", frames[1]), ("front", frames[1])) == (0, 1), "another size"
    assert counts(*[("front", frames[1])] * 2, controls=Controls(levels=(2,))) == (1, 1), "other controls"
    with pytest.raises(OptionError, match="strength"):
        stylizer.stylize(frames[0], Controls(strength=2))
    assert counts(("front", frames[0])) == (1, 1)


def test_the_old_name_of_the_precision_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match="^dtype is deprecated; use precision$"):
        stylizer = Stylizer("lite", dtype="float16")
    assert stylizer.precision == stylizer.dtype == "float16"


@pytest.mark.parametrize("model", ["live", "lite"])
@pytest.mark.parametrize("height, width", [(1, 1), (16, 16), (40, 5)])
def test_tiny_flat_pictures_are_stylized(of_model, styles, model, height, width):
    """Their features hardly vary, and what rounding leaves of their covariance must not become a NaN."""
    stylizer = of_model(model)
    stylizer.set_style(styles["mosaic"])
    flat = np.full((height, width, 3), 90, np.uint8)
    result = stylizer.stylize(flat)
    assert result.shape == flat.shape
    wanted = styles["mosaic"].reshape(-1, 3).mean(0)
    assert np.abs(result.reshape(-1, 3).mean(0) - wanted).max() < 60
