"""How fast pictures are stylized, compared to what the machine's convolutions allow and to published code."""

import json
import multiprocessing
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..media.style_library import StyleLibrary
from ..models import weights
from ..models.cascade import Cascade
from ..models.layers import traced
from ..models.registry import FLOATS, MODELS
from ..models.shapes import VGG_WIDTHS, decoder_layers, encoder_layers
from ..stylizer import Stylizer
from ..transfer.loading import load_pipeline
from . import measure

SIZES = ((320, 240), (640, 480))  # of a camera
SIDES = (128, 256, 512, 1024, 2048, 3840)  # of pictures; the last is as wide as 4K
STYLE = "flow_night"


def scene(width: int, height: int) -> np.ndarray:
    """A picture with a bit of everything, uint8 ``[h, w, 3]``: waves of many lengths, noise, a flat patch."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = [
        np.sin(2 * np.pi * (fx * x + fy * y) + phase) / (1 + np.hypot(fx, fy)) ** 0.5
        for fx, fy, phase in rng.normal(0, 8, (12, 3))
    ]
    colours = np.tensordot(np.moveaxis(waves, 0, 2), rng.normal(0, 40, (12, 3)), 1) + 128
    colours[: height // 3, : width // 3] = 190, 205, 230
    return np.uint8(np.clip(colours + rng.normal(0, 6, colours.shape), 0, 255))


def live(
    models: Sequence[str],
    precisions: Sequence[str],
    sizes: Sequence[Tuple[int, int]] = SIZES,
    weights_dir: Optional[str] = None,
    layers: bool = False,
    reference: bool = True,
) -> Dict[str, Any]:
    """Stylize frames as a camera sends them, one after another, without ROS.

    Args:
        layers: also time each convolution by itself.
        reference: also time what published implementations compute (`published`).

    Returns:
        The figures for `write`; they are printed as they are measured.
    """
    peaks = _peaks(precisions)
    result: Dict[str, Any] = {"peak_multiply_adds": peaks, "frames": []}
    style = StyleLibrary().read(STYLE)
    slowest = published(*sizes[-1]) if reference else None
    if slowest:
        print(
            "published: five levels at full width, the style encoded and singular values computed for every frame, "
            "%dx%d: %s" % (*sizes[-1], slowest)
        )
        result["published"] = dict(slowest._asdict(), size=sizes[-1])
    for model in models:
        facts = weights.load(model, weights_dir)[1]
        for precision in _available(model, precisions):
            stylizer = Stylizer(model, precision, weights_dir)
            stylizer.set_style(style)
            for width, height in sizes:
                rgb = scene(width, height)
                times = measure.times(lambda stylizer=stylizer, rgb=rgb: stylizer.stylize(rgb))
                count = sum(measure.multiply_adds(model, facts, width, height).values())
                fraction = count / peaks[precision] / times.median
                row = dict(
                    model=model,
                    precision=precision,
                    width=width,
                    height=height,
                    seconds=times._asdict(),
                    frames_per_second=1 / times.median,
                    multiply_adds=count,
                    fraction_of_peak=fraction,
                )
                comparison = ""
                if slowest and (width, height) == sizes[-1]:
                    row["times_published"] = slowest.median / times.median
                    comparison = ", %.0f times the published rate" % row["times_published"]
                print(
                    "%-8s %-9s %4dx%-4d %s: %.1f frames per second, %.1f G multiply-adds, %.0f %% of the peak%s"
                    % (
                        model,
                        precision,
                        width,
                        height,
                        times,
                        1 / times.median,
                        count / 1e9,
                        100 * fraction,
                        comparison,
                    )
                )
                if layers and precision in FLOATS:
                    row["layers"] = _layers(model, precision, weights_dir, width, height, peaks[precision])
                result["frames"].append(row)
    return result


def image(
    models: Sequence[str],
    precisions: Sequence[str],
    sides: Sequence[int] = SIDES,
    weights_dir: Optional[str] = None,
    max_memory: float = 0.0,
) -> Dict[str, Any]:
    """Stylize single pictures, 4 by 3, of increasing size: time for each megapixel, and memory."""
    result: Dict[str, Any] = {"peak_multiply_adds": _peaks(precisions), "pictures": []}
    for model in models:
        for precision in _available(model, precisions):
            # A process for each, because a process keeps memory that an earlier model has used.
            with multiprocessing.get_context("spawn").Pool(1) as process:
                result["pictures"] += process.apply(_pictures, (model, precision, sides, weights_dir, max_memory))
    return result


def _pictures(model, precision, sides, weights_dir, max_memory) -> List[Dict[str, Any]]:
    stylizer, rows = Stylizer(model, precision, weights_dir, max_memory=max_memory), []
    stylizer.set_style(StyleLibrary().read(STYLE))
    for side in sides:
        rgb = scene(side, side * 3 // 4)
        stylize = lambda rgb=rgb: stylizer.stylize(rgb)
        memory = measure.peak_memory(stylize)
        times = measure.times(stylize, runs=3 if side <= 1024 else 1, seconds=0.0)
        print(
            "%-8s %-9s %5dx%-5d %s: %.2f s per megapixel, at most %.0f MB"
            % (
                model,
                precision,
                side,
                side * 3 // 4,
                times,
                times.median / (side * side * 0.75e-6),
                (memory or np.nan) / 1e6,
            ),
            flush=True,
        )
        rows.append(
            dict(
                model=model,
                precision=precision,
                width=side,
                height=side * 3 // 4,
                seconds=times._asdict(),
                memory=memory,
            )
        )
    return rows


def published(width: int, height: int) -> measure.Times:
    """`measure.Times` of a frame with what published implementations compute.

    That is five levels at VGG's full widths; at each level the style is encoded again, and whitening and
    colouring use singular value decompositions.  The weights are random, since only the time matters.
    """
    rng, arrays = np.random.default_rng(0), {}
    layers = [
        part
        for level in (5, 4, 3, 2, 1)
        for part in (("encoder_level%d_" % level, encoder_layers(last=level)), ("decoder_", decoder_layers(level)))
    ]
    for prefix, some in layers:
        for name, channels, out in some:
            scale = np.sqrt(2 / (9 * channels))
            arrays[prefix + name + "_kernel"] = np.float32(rng.normal(0, scale, (3, 3, channels, out)))
            arrays[prefix + name + "_bias"] = np.zeros(out, np.float32)
    network = Cascade(arrays, VGG_WIDTHS, "vgg16")
    content, style = (tf.constant(scene(width, height)[:, ::step] / 255, tf.float32) for step in (1, -1))

    def power(features, exponent):
        flat = tf.reshape(features, (-1, features.shape[-1]))
        mean = tf.reduce_mean(flat, 0)
        values, left, _ = tf.linalg.svd(tf.matmul(flat - mean, flat - mean, transpose_a=True) / len(flat))
        return mean, tf.matmul(left * (values + 1e-5) ** exponent, left, transpose_b=True)

    def frame():
        picture = content
        for level in network.levels:
            content_features, style_features = (network.encode(rgb, (level,))[level] for rgb in (picture, style))
            (mean, white), (target, colour) = power(content_features, -0.5), power(style_features, 0.5)
            features = tf.tensordot(content_features - mean, tf.matmul(white, colour), 1) + target
            picture = network.decode_image({level: features})
        picture.numpy()

    return measure.times(frame, runs=2, seconds=0.0)


def _available(model, precisions):
    """The ``precisions`` that the model can compute in."""
    return [precision for precision in precisions if precision in MODELS[model].precisions]


def _peaks(precisions):
    peaks = {precision: measure.peak(precision) for precision in precisions}
    for precision, rate in peaks.items():
        print(
            "peak of this machine in %s: %.0f G multiply-adds per second (3x3 convolutions)" % (precision, rate / 1e9)
        )
    return peaks


def _layers(model, precision, weights_dir, width, height, peak):
    """Each convolution by itself: ``{layer: {seconds, multiply_adds, fraction_of_peak}}``."""
    net, rows = load_pipeline(model, precision, weights_dir).network.net, {}
    for name, count in measure.multiply_adds(model, weights.load(model, weights_dir)[1], width, height).items():
        side, stride, channels, out = net.shapes[name]
        scale = round(np.sqrt(side * side * channels * out * width * height / count)) // stride
        x = tf.ones((1, height // scale, width // scale, channels), net.dtype)
        convolve = traced(lambda x, name=name: net(x, name), tf.TensorSpec(x.shape, x.dtype))
        times = measure.times(lambda run=convolve, x=x: run(x).numpy(), seconds=0.2)
        fraction = count / peak / times.median
        rows[name] = dict(seconds=times.median, multiply_adds=count, fraction_of_peak=fraction)
        print(
            "    %-10s %3dx%-3d %3d to %-3d %s: %.0f %% of the peak"
            % (name, width // scale, height // scale, channels, out, times, 100 * fraction)
        )
    return rows


def write(result: Dict[str, Any], json_file: Optional[str] = None, folder: Optional[str] = None) -> None:
    """Write the figures of `live` or `image` as JSON, and as a chart into a folder."""
    if json_file:
        with open(json_file, "w") as file:
            json.dump(result, file, indent=1)
    if folder:
        os.makedirs(folder, exist_ok=True)
        if "pictures" in result:
            _plot_pictures(result["pictures"], os.path.join(folder, "pictures.png"))
        else:
            _plot_frames(result, os.path.join(folder, "frames.png"))


def _plot_pictures(rows, path):
    pyplot = measure.pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for key in dict.fromkeys((row["model"], row["precision"]) for row in rows):
        mine = [row for row in rows if (row["model"], row["precision"]) == key]
        pixels = [row["width"] * row["height"] / 1e6 for row in mine]
        left.loglog(pixels, [row["seconds"]["median"] for row in mine], marker=".", label="%s, %s" % key)
        if all(row["memory"] for row in mine):
            right.semilogx(pixels, [row["memory"] / 1e9 for row in mine], marker=".")
    left.set(xlabel="megapixels", ylabel="seconds")
    right.set(xlabel="megapixels", ylabel="memory of the process, GB", ylim=0)
    left.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _plot_frames(result, path):
    pyplot = measure.pyplot()
    rows = result["frames"]
    figure, axes = pyplot.subplots(figsize=(7, 0.4 * len(rows) + 1.2))
    names = ["%(model)s %(precision)s %(width)dx%(height)d" % row for row in rows]
    ideal = [1e3 * row["multiply_adds"] / result["peak_multiply_adds"][row["precision"]] for row in rows]
    axes.barh(names, [1e3 * row["seconds"]["median"] for row in rows], color="tab:blue", label="measured")
    axes.barh(names, ideal, height=0.4, color="tab:orange", label="multiply-adds at the machine's peak rate")
    axes.set(xlabel="milliseconds per frame")
    axes.invert_yaxis()
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
