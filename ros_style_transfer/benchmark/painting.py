"""How fast pictures are painted, beside what the machine's convolutions allow and what is published."""
import json
import multiprocessing
import os

import numpy as np
import tensorflow as tf

from ..controls import FLOATS, INTEGER_MODELS
from ..media.style_library import StyleLibrary
from ..models import weights
from ..models.cascade import Cascade
from ..models.layers import graph
from ..models.shapes import VGG_WIDTHS, decoder_layers, encoder_layers
from ..stylizer import Stylizer
from ..transfer.loading import load_painter
from . import measure

SIZES = ((320, 240), (640, 480))  # of a camera
SIDES = (128, 256, 512, 1024, 2048, 3840)  # of pictures; the last is as wide as 4K
STYLE = "flow_night"


def scene(width, height):
    """A picture with some of everything, uint8 ``[h, w, 3]``: waves of many lengths, noise, an even patch."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = [np.sin(2 * np.pi * (fx * x + fy * y) + phase) / (1 + np.hypot(fx, fy)) ** 0.5
             for fx, fy, phase in rng.normal(0, 8, (12, 3))]
    colours = np.tensordot(np.moveaxis(waves, 0, 2), rng.normal(0, 40, (12, 3)), 1) + 128
    colours[: height // 3, : width // 3] = 190, 205, 230
    return np.uint8(np.clip(colours + rng.normal(0, 6, colours.shape), 0, 255))


def live(models, dtypes, sizes=SIZES, weights_dir=None, layers=False, reference=True):
    """Frames as a camera sends them, painted one after the other without ROS.

    Args:
        layers: time each convolution by itself, too.
        reference: time what published implementations do (`published`), too.

    Returns:
        what was measured, for people (printed as it comes) and for JSON.
    """
    peaks = _peaks(dtypes)
    result = {"peak_multiply_adds": peaks, "frames": []}
    style = StyleLibrary().read(STYLE)
    slowest = published(*sizes[-1]) if reference else None
    if slowest:
        print("published: five levels at full width, the style encoded and four roots taken in every frame, %dx%d: %s"
              % (*sizes[-1], slowest))
        result["published"] = dict(slowest._asdict(), size=sizes[-1])
    for model in models:
        entry = weights.load(model, weights_dir)[1]
        for dtype in _fit(model, dtypes):
            stylizer = Stylizer(model, dtype, weights_dir)
            stylizer.set_style(style)
            for width, height in sizes:
                rgb = scene(width, height)
                taken = measure.times(lambda painter=stylizer, rgb=rgb: painter.stylize(rgb))
                needed = sum(measure.multiply_adds(model, entry, width, height).values())
                share = needed / peaks[dtype] / taken.median
                row = dict(model=model, dtype=dtype, width=width, height=height, seconds=taken._asdict(),
                           frames_a_second=1 / taken.median, multiply_adds=needed, share_of_peak=share)
                against = ""
                if slowest and (width, height) == sizes[-1]:
                    row["times_published"] = slowest.median / taken.median
                    against = ", %.0f times the published rate" % row["times_published"]
                print("%-8s %-9s %4dx%-4d %s: %.1f frames a second, %.1f G multiply-adds, %.0f %% of the peak%s" % (
                    model, dtype, width, height, taken, 1 / taken.median, needed / 1e9, 100 * share, against))
                if layers and dtype in FLOATS:
                    row["layers"] = _layers(model, dtype, weights_dir, width, height, peaks[dtype])
                result["frames"].append(row)
    return result


def image(models, dtypes, sides=SIDES, weights_dir=None, max_memory=0.0):
    """Single pictures, 4 by 3, of growing size: time and memory for each megapixel."""
    result = {"peak_multiply_adds": _peaks(dtypes), "pictures": []}
    for model in models:
        for dtype in _fit(model, dtypes):
            # A process each: one keeps for the next model what memory it took for the last.
            with multiprocessing.get_context("spawn").Pool(1) as process:
                result["pictures"] += process.apply(_pictures, (model, dtype, sides, weights_dir, max_memory))
    return result


def _pictures(model, dtype, sides, weights_dir, max_memory):
    stylizer, rows = Stylizer(model, dtype, weights_dir, max_memory=max_memory), []
    stylizer.set_style(StyleLibrary().read(STYLE))
    for side in sides:
        rgb = scene(side, side * 3 // 4)
        paint = lambda rgb=rgb: stylizer.stylize(rgb)
        memory = measure.peak_memory(paint)
        taken = measure.times(paint, runs=3 if side <= 1024 else 1, seconds=0.0)
        print("%-8s %-9s %5dx%-5d %s: %.2f s a megapixel, at most %.0f MB" % (
            model, dtype, side, side * 3 // 4, taken, taken.median / (side * side * 0.75e-6),
            (memory or np.nan) / 1e6), flush=True)
        rows.append(dict(model=model, dtype=dtype, width=side, height=side * 3 // 4, seconds=taken._asdict(),
                         memory=memory))
    return rows


def published(width, height):
    """`measure.Times` of a frame as published code paints it: VGG's full widths, five levels, and at every
    level the style encoded again and whitening and colouring by singular value decompositions.  The weights
    are random: only their time counts."""
    rng, arrays = np.random.default_rng(0), {}
    layers = [part for level in (5, 4, 3, 2, 1) for part in (
        ("encoder_level%d_" % level, encoder_layers(last=level)), ("decoder_", decoder_layers(level)))]
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
            own, wanted = (network.encode(rgb, (level,))[level] for rgb in (picture, style))
            (mean, white), (target, colour) = power(own, -0.5), power(wanted, 0.5)
            features = tf.tensordot(own - mean, tf.matmul(white, colour), 1) + target
            picture = network.finish({level: features})
        picture.numpy()

    return measure.times(frame, runs=2, seconds=0.0)


def _fit(model, dtypes):
    return [dtype for dtype in dtypes if dtype in FLOATS or model in INTEGER_MODELS]


def _peaks(dtypes):
    peaks = {dtype: measure.peak(dtype) for dtype in dtypes}
    for dtype, rate in peaks.items():
        print("the machine's peak in %s: %.0f G multiply-adds a second (3x3 convolutions)" % (dtype, rate / 1e9))
    return peaks


def _layers(model, dtype, weights_dir, width, height, peak):
    """Each convolution by itself: ``{layer: {seconds, multiply_adds, share_of_peak}}``."""
    net, rows = load_painter(model, dtype, weights_dir).network.net, {}
    for name, count in measure.multiply_adds(model, weights.load(model, weights_dir)[1], width, height).items():
        side, stride, channels, out = net.shapes[name]
        halving = round(np.sqrt(side * side * channels * out * width * height / count)) // stride
        x = tf.ones((1, height // halving, width // halving, channels), net.dtype)
        convolve = graph(lambda x, name=name: net(x, name), tf.TensorSpec(x.shape, x.dtype))
        taken = measure.times(lambda run=convolve, x=x: run(x).numpy(), seconds=0.2)
        rows[name] = dict(seconds=taken.median, multiply_adds=count, share_of_peak=count / peak / taken.median)
        print("    %-10s %3dx%-3d %3d to %-3d %s: %.0f %% of the peak" % (
            name, width // halving, height // halving, channels, out, taken, 100 * rows[name]["share_of_peak"]))
    return rows


def write(result, json_file=None, folder=None):
    """The figures as JSON, and drawn."""
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
    for key in dict.fromkeys((row["model"], row["dtype"]) for row in rows):
        mine = [row for row in rows if (row["model"], row["dtype"]) == key]
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
    names = ["%(model)s %(dtype)s %(width)dx%(height)d" % row for row in rows]
    ideal = [1e3 * row["multiply_adds"] / result["peak_multiply_adds"][row["dtype"]] for row in rows]
    axes.barh(names, [1e3 * row["seconds"]["median"] for row in rows], color="tab:blue", label="measured")
    axes.barh(names, ideal, height=0.4, color="tab:orange", label="the arithmetic at the machine's peak")
    axes.set(xlabel="milliseconds a frame")
    axes.invert_yaxis()
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


