"""Renders: what a user gets, with which option, and what goes on when something is odd."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, draw_scene

from ros_style_transfer.cli import main as cli
from ros_style_transfer.errors import ImageError, OptionError
from ros_style_transfer.media import images
from ros_style_transfer.render.checkpoint import Checkpoint
from ros_style_transfer.render.objective import Objective, load_network
from ros_style_transfer.render.options import STYLE_LOSSES, RenderOptions, check, options_from
from ros_style_transfer.render.renderer import Renderer

CONTENT = draw_scene(160, 120)


def rendered(content=CONTENT, style=None, mask=None, weights=None, initial=None, **options):
    """The picture, and all that was said on the way."""
    options = RenderOptions(**dict({"iterations": 6, "scales": 2}, **options))
    renderer, steps = Renderer(options), []
    for progress in renderer.render(content, style, weights, mask, initial):
        steps.append(progress)
    return renderer.picture(steps[-1].x, content, mask), steps


@pytest.fixture(scope="module")
def plain(styles):
    """``plain(name)``: the picture without any option, in this style; made once."""
    return functools.lru_cache(None)(lambda name: rendered(style=[styles[name]], precision="float32")[0])


def style_distance(picture, style):
    """How far the Gram matrices are, relative to the style's."""
    network = load_network("compact")
    made = Objective(network, RenderOptions(style_loss="gram", content_weight=0.0))
    as_float = np.float32(images.pad(picture, 1, 32)) / 255
    made.prepare(as_float, [[(1.0, np.float32(style) / 255)]])
    return made(as_float).parts["style"]


def test_a_render_takes_on_the_style_and_keeps_the_content(styles):
    style = styles["mosaic"]
    picture, steps = rendered(style=[style], iterations=20)
    assert picture.shape == CONTENT.shape and picture.dtype == np.uint8
    assert style_distance(picture, style) < 0.3 * style_distance(CONTENT, style)
    grey = lambda rgb: cv2.Canny(cv2.GaussianBlur(rgb, (0, 0), 2), 40, 80).astype(float)
    assert (
        np.corrcoef(grey(picture).ravel(), grey(CONTENT).ravel())[0, 1]
        > np.corrcoef(grey(images.resize(style, 160, 120)).ravel(), grey(CONTENT).ravel())[0, 1] + 0.1
    )
    assert [step.width for step in steps] == sorted(step.width for step in steps)
    for size in {step.width for step in steps}:
        losses = [step.loss for step in steps if step.width == size]
        assert losses == sorted(losses, reverse=True)


def test_a_render_says_which_precision_it_chose(styles):
    from ros_style_transfer.models.device import fastest_float

    _, steps = rendered(style=[styles["mosaic"]], iterations=2)
    assert steps[0].note == "convolutions in %s, the faster here" % fastest_float()
    assert not any(step.note for step in steps[1:])
    assert not rendered(style=[styles["mosaic"]], iterations=1, precision="float32")[1][0].note


def test_more_content_weight_keeps_more_content(styles):
    near, far = (rendered(style=[styles["mosaic"]], content_weight=weight)[0] for weight in (3.0, 0.01))
    change = lambda picture: np.abs(picture.astype(float) - CONTENT).mean()
    assert change(near) < 0.8 * change(far)


def test_more_total_variation_weight_is_smoother(styles):
    rough, smooth = (rendered(style=[styles["mosaic"]], tv_weight=weight)[0] for weight in (0.0, 30.0))
    slopes = lambda picture: np.abs(np.diff(picture.astype(float), axis=1)).mean()
    assert slopes(smooth) < 0.8 * slopes(rough)


@pytest.mark.parametrize(
    "option",
    [
        {"optimizer": "adam", "iterations": 25},
        {"pooling": "average"},
        {"style_loss": "gram"},
        {"style_loss": "covariance"},
        {"init": "noise", "iterations": 15},
        {"init": "style", "iterations": 15},
        {"style_scale": 0.5},
        {"style_crop": 0.5},
        {"scales": 1},
        {"precision": "bfloat16"},
    ],
)
def test_every_option_renders_and_lowers_the_style_distance(styles, plain, option):
    style = styles["mosaic"]
    picture, _ = rendered(style=[style], **{"precision": "float32", **option})
    assert style_distance(picture, style) < 0.8 * style_distance(CONTENT, style)
    assert (picture != plain("mosaic")).any()


def test_it_begins_with_any_picture(styles):
    picture, _ = rendered(style=[styles["mosaic"]], initial=np.zeros((10, 10, 3), np.uint8), iterations=1, scales=1)
    assert picture.mean() < 0.6 * rendered(style=[styles["mosaic"]], iterations=1, scales=1)[0].mean()


def test_luminance_keeps_the_contents_colours(styles, plain):
    picture, _ = rendered(style=[styles["neon_lines"]], keep_colours="luminance")
    chroma = lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(float)
    without = plain("neon_lines")
    assert np.abs(chroma(picture) - chroma(CONTENT)).mean() < 0.5 * np.abs(chroma(without) - chroma(CONTENT)).mean()


def test_coral_gives_the_style_the_contents_palette(styles, plain):
    distance = lambda picture: np.abs(picture.mean((0, 1)) - CONTENT.mean((0, 1))).max()
    coral, _ = rendered(style=[styles["neon_lines"]], keep_colours="coral")
    assert distance(coral) < 0.3 * distance(plain("neon_lines"))


def test_a_mask_leaves_what_is_labelled_0_and_gives_each_region_its_style(styles):
    mask = np.zeros((120, 160), np.uint8)
    mask[:, 53:106], mask[:, 106:] = 1, 2
    picture, _ = rendered(style=[styles["ink_wash"], styles["neon_lines"]], mask=mask, feather=0.0)
    assert (picture[:, :53] == CONTENT[:, :53]).all()
    other, _ = rendered(style=[styles["neon_lines"], styles["ink_wash"]], mask=mask, feather=0.0)
    assert np.abs(picture[:, 53:].astype(float) - other[:, 53:]).mean() > 5


def test_one_seed_gives_one_noise(styles):
    run = lambda seed: rendered(style=[styles["mosaic"]], init="noise", seed=seed, iterations=2)[0]
    assert (run(3) == run(3)).all()
    assert (run(3) != run(4)).any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (33, 32), (40, 41)])
def test_tiny_pictures(styles, shape):
    content = images.resize(CONTENT, shape[1], shape[0])
    picture, _ = rendered(content, [styles["mosaic"]], iterations=2)
    assert picture.shape == content.shape


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_flat_pictures(value, style_loss):
    flat = np.full((64, 64, 3), value, np.uint8)
    for content, style in ((flat, CONTENT), (CONTENT, flat)):
        picture, steps = rendered(content, [style], iterations=3, scales=1, style_loss=style_loss)
        assert np.isfinite(steps[-1].loss) and picture.shape == content.shape


@pytest.mark.parametrize("value", [128, 255])
def test_a_flat_picture_is_painted_too(styles, value):
    style = styles["mosaic"]
    picture, _ = rendered(np.full((64, 64, 3), value, np.uint8), [style], iterations=30, scales=1)
    assert picture.std((0, 1)).mean() > 0.5 * style.std((0, 1)).mean()


class SlowMachine:
    """A clock that advances by a time in proportion to the pixels whenever the loss is evaluated."""

    def __init__(self, monkeypatch, seconds_per_megapixel):
        self.now, call = 0.0, Objective.__call__

        def evaluate(objective, x):
            self.now += x.shape[0] * x.shape[1] * 1e-6 * seconds_per_megapixel
            return call(objective, x)

        monkeypatch.setattr(Objective, "__call__", evaluate)

    def render(self, styles, **options):
        """The picture and the last progress of a render of `CONTENT`, whose largest evaluation takes a second."""
        renderer = Renderer(RenderOptions(**options), clock=lambda: self.now, started=0.0)
        *_, last = renderer.render(CONTENT, styles)
        return renderer.picture(last.x, CONTENT), last


SECOND = 1e6 / CONTENT[..., 0].size  # per megapixel


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("budget, start_up", [(3.0, 0.0), (9.0, 3.0)])
def test_a_time_budget_is_kept_and_what_it_cut_is_said(monkeypatch, styles, optimizer, budget, start_up):
    machine = SlowMachine(monkeypatch, SECOND)
    machine.now = start_up
    options = dict(optimizer=optimizer, time_budget=budget, precision="float32", scales=2)
    picture, last = machine.render([styles["mosaic"]], **options)
    assert picture.shape == CONTENT.shape and machine.now <= budget
    assert last.shortfall.startswith(
        "the time budget of %g s allowed %d of 160 iterations (%d of 80 at "
        % (budget, last.total_iterations, last.iteration)
    )
    assert ("enlarged to 160x120" in last.shortfall) == (last.width == 80)
    assert style_distance(picture, styles["mosaic"]) < 0.9 * style_distance(CONTENT, styles["mosaic"])


def test_a_short_budget_is_spent_where_it_helps_most(monkeypatch, styles):
    """Not on one iteration of each size, after which a picture is its content under noise."""
    machine = SlowMachine(monkeypatch, SECOND)
    short, _ = machine.render([styles["mosaic"]], time_budget=6.0, precision="float32", scales=2)
    hasty, steps = rendered(style=[styles["mosaic"]], iterations=1, precision="float32")
    assert not steps[-1].shortfall
    assert style_distance(short, styles["mosaic"]) < 0.8 * style_distance(hasty, styles["mosaic"])


def test_a_budget_that_was_over_before_the_render_began_leaves_one_iteration(monkeypatch, styles):
    machine = SlowMachine(monkeypatch, SECOND)
    machine.now = 60.0
    _, last = machine.render([styles["mosaic"]], time_budget=5.0, precision="float32", scales=2)
    assert "1 of 160 iterations (1 of 80 at 80x60, enlarged to 160x120)" in last.shortfall


def test_without_a_budget_nothing_is_cut(styles):
    _, steps = rendered(style=[styles["mosaic"]], iterations=3)
    assert [step.total_iterations for step in steps] == [1, 2, 3, 4, 5, 6]
    assert not any(step.shortfall for step in steps)


def test_a_tolerance_ends_it(styles):
    _, patient = rendered(style=[styles["mosaic"]], iterations=40)
    _, hasty = rendered(style=[styles["mosaic"]], iterations=40, tolerance=0.2)
    assert len(hasty) < 0.7 * len(patient)


def test_what_does_not_fit_is_tiled_and_looks_the_same(styles):
    content = draw_scene(640, 480)
    # Two measurements of which type is the faster may come out differently on a busy machine.
    options = dict(iterations=2, scales=1, precision="float32")
    whole, _ = rendered(content, [styles["mosaic"]], **options)
    tiled, _ = rendered(content, [styles["mosaic"]], max_memory=440.0, **options)
    assert cv2.PSNR(whole, tiled) > 60
    with pytest.raises(OptionError, match=r"640x480 needs at least \d+ MB, and max_memory allows 310"):
        rendered(content, [styles["mosaic"]], scales=1, max_memory=310.0)


def test_a_render_goes_on_from_where_it_was(styles):
    renderer = Renderer(RenderOptions(iterations=6, scales=2))
    steps = list(renderer.render(CONTENT, [styles["mosaic"]]))
    middle = next(step for step in steps if step.scale == 1 and step.iteration == 3)
    rest = list(renderer.render(CONTENT, [styles["mosaic"]], start=middle))
    assert (rest[0].scale, rest[0].iteration) == (1, 4)
    assert rest[-1].loss == pytest.approx(steps[-1].loss, rel=0.2)
    assert rest[-1].loss < middle.loss


def test_a_render_goes_on_from_the_end_of_a_size(styles):
    renderer = Renderer(RenderOptions(iterations=2, scales=2))
    steps = list(renderer.render(CONTENT, [styles["mosaic"]]))
    ended = [step for step in steps if step.scale == 0][-1]
    assert ended.iteration == ended.iterations
    rest = list(renderer.render(CONTENT, [styles["mosaic"]], start=ended))
    assert [(step.scale, step.iteration) for step in rest] == [(1, 1), (1, 2)]


def test_wrong_input_is_named(styles):
    renderer = Renderer(RenderOptions(iterations=1))
    with pytest.raises(OptionError, match="at least one style"):
        next(renderer.render(CONTENT, []))
    with pytest.raises(ImageError, match="a picture must be"):
        next(renderer.render(CONTENT[..., 0], [styles["mosaic"]]))
    with pytest.raises(OptionError, match="the mask is 0 everywhere"):
        next(renderer.render(CONTENT, [styles["mosaic"]], mask=np.zeros(CONTENT.shape[:2], np.uint8)))


@pytest.mark.parametrize(
    "values,said",
    [
        ({"network": "vgg20"}, "network must be one of compact, vgg16, vgg19, not 'vgg20'"),
        (
            {"content_layers": "block9_conv1"},
            "content_layers names 'block9_conv1'; the network compact has block1_conv1",
        ),
        ({"style_layers": "block5_conv3"}, "style_layers names 'block5_conv3'"),
        ({"style_layers": "block1_conv1:x"}, "style_layers must be LAYER:WEIGHT"),
        ({"style_layers": "block1_conv1:1,block1_conv1:2"}, "each layer once"),
        ({"iterations": "0"}, "iterations must be a whole number from 1"),
        ({"iterations": "many"}, "iterations must be a whole number, not 'many'"),
        ({"content_weight": "nan"}, "content_weight must be a number from 0"),
        ({"style_weight": 0, "content_weight": 0}, "both 0"),
        ({"relative": "maybe"}, "relative must be one of yes, no"),
        ({"wibble": 1}, "unknown render option 'wibble'"),
    ],
)
def test_options_are_checked(values, said):
    with pytest.raises(OptionError) as error:
        check(options_from(values))
    assert said in str(error.value)


def test_texts_become_options():
    options = options_from(
        {"style_layers": "block1_conv1:2, block2_conv1", "relative": "no", "iterations": "7", "init": ""}
    )
    assert options.style_layers == {"block1_conv1": 2.0, "block2_conv1": 1.0}
    assert (options.relative, options.iterations, options.init) == (False, 7, "content")


# --- the command line -----------------------------------------------------------------------


def command(*args, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", "ros_style_transfer", "render", *map(str, args)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        **kwargs,
    )


def run(*args):
    process = command(*args)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    images.write(path, CONTENT)
    return path


def test_the_command_renders_with_progress_and_previews(photo, tmp_path):
    out, preview = tmp_path / "out.png", tmp_path / "preview.png"
    code, said, err = run(
        photo,
        "--style",
        "mosaic",
        "-o",
        out,
        "--iterations",
        6,
        "--scales",
        2,
        "--size",
        128,
        "--preview",
        preview,
        "--every",
        3,
    )
    assert code == 0, err
    assert images.read(out).shape == (96, 128, 3)
    assert images.read(preview).shape == (96, 128, 3)
    assert "64x48" in err and "128x96" in err and "loss=" in err
    assert re.search(r"rendered 128x96 in [\d.]+ s: 12 iterations, loss", err)
    assert sorted(os.listdir(str(tmp_path))) == ["out.png", "photo.png", "preview.png"]


def test_the_command_keeps_its_time_budget_from_its_start_and_says_what_was_cut(photo, tmp_path):
    out = tmp_path / "out.png"
    started = time.monotonic()
    code, _, err = run(photo, "--style", "mosaic", "-o", out, "--iterations", 10000, "--time-budget", 15)
    seconds = time.monotonic() - started
    assert code == 0, err
    assert re.search(r"rendered 160x120 in [\d.]+ s: the time budget of 15 s allowed \d+ of \d+ iterations", err), err
    # The end of the process is not predicted exactly, and a busy machine may not reach the first iteration in time.
    assert seconds < 18 or "allowed 1 of" in err


def test_wct_is_a_start(photo, tmp_path):
    code, _, err = run(photo, "--style", "mosaic", "-o", tmp_path / "out.png", "--iterations", 1, "--init", "wct")
    assert code == 0, err


@pytest.mark.parametrize(
    "args,said",
    [
        (["--style", "nothing"], "unknown style 'nothing'"),
        (
            ["--style", "mosaic", "--network", "vgg16"],
            "run `python -m ros_style_transfer weights fetch vgg16`",
        ),
        (["--style", "mosaic", "--network-weights", "a.h5"], "the network is compact"),
        (["--style", "mosaic", "--resume"], "there is nothing to resume"),
        (["--style", "mosaic", "--init", "nowhere.png"], "no such picture: nowhere.png"),
        (["--style", "mosaic", "--iterations", "-3"], "iterations must be"),
        (["--style", "mosaic", "ink_wash", "--style-weights", "1"], "1 weights for 2 styles"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(photo, tmp_path, monkeypatch, args, said):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, _, err = run(photo, "-o", tmp_path / "out.png", *args)
    assert code == 1 and said in err
    assert len([line for line in err.splitlines() if line]) == 1, err
    assert not (tmp_path / "out.png").exists()


def test_an_interrupted_render_is_resumed(photo, tmp_path):
    out = tmp_path / "out.png"
    args = [photo, "--style", "mosaic", "-o", out, "--iterations", 5000, "--scales", 1, "--json"]
    process = command(*args, stdin=subprocess.PIPE)
    lines = [json.loads(process.stdout.readline()) for _ in range(5)]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    err = process.stderr.read()
    assert "`--resume` continues" in err
    assert not out.exists()
    process = command(*args, "--resume", stdin=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["iteration"] > 5
    process.kill()
    process.communicate()
    code, _, err = run(photo, "--style", "ink_wash", "-o", out, "--iterations", 5000, "--scales", 1, "--resume")
    assert code == 1 and "other pictures or options" in err


def test_a_render_that_was_stopped_after_its_last_iteration_is_resumed(photo, tmp_path, monkeypatch):
    args = [
        "render",
        str(photo),
        "--style",
        "mosaic",
        "-o",
        str(tmp_path / "out.png"),
        "--iterations",
        "2",
        "--scales",
        "2",
    ]
    write = Checkpoint.write
    monkeypatch.setattr(Checkpoint, "write", lambda self, progress, now=False: write(self, progress, now=True))
    monkeypatch.setattr(Checkpoint, "remove", lambda self: None)
    cli.run(cli.parser().parse_args(args))
    whole = images.read(tmp_path / "out.png")
    os.remove(str(tmp_path / "out.png"))
    cli.run(cli.parser().parse_args([*args, "--resume"]))
    assert np.array_equal(images.read(tmp_path / "out.png"), whole)


def test_a_child_ends_with_whoever_started_it(photo, tmp_path):
    process = command(
        photo, "--style", "mosaic", "-o", tmp_path / "out.png", "--iterations", 5000, "--json", stdin=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdin.close()
    process.wait(20)
