"""Formulas in numpy's float64 that the package is tested against: the live model's forward pass, and the transforms'
matrices as their papers give them."""
import numpy as np

from ros_style_transfer.models.canvas import CANVAS_SIDE, EVEN, EVEN_LEAST, canvas
from ros_style_transfer.models.shapes import LITE_PAIRS, LIVE_PAIRS, live_layers

MEAN = np.array([123.68, 116.779, 103.939]) / 255
WIDTHS = (6, 8, 10, 12)


def random_arrays(widths=WIDTHS, seed=0, pairs=LIVE_PAIRS):
    """Weights that let everything through at about its own scale; no bias is zero."""
    rng, arrays = np.random.default_rng(seed), {}
    for name, (side, _, channels, width) in live_layers(widths, pairs).items():
        shape = (side, side, channels, width)
        arrays[name + "_kernel"] = np.float32(rng.normal(0, np.sqrt(2 / (side * side * channels)), shape))
        arrays[name + "_bias"] = np.float32(rng.normal(0, 0.1, width))
    return arrays


def convolve(x, arrays, name, stride=1):
    """A convolution of ``x [h, w, in]``, reflected at its borders, an offset of the kernel at a time."""
    kernel, bias = (arrays[name + part].astype(np.float64) for part in ("_kernel", "_bias"))
    side = kernel.shape[0]
    padded = np.pad(x, ((side // 2, side // 2), (side // 2, side // 2), (0, 0)), "reflect")
    height, width = x.shape[:2]
    return bias + sum(padded[dy : dy + height : stride, dx : dx + width : stride] @ kernel[dy, dx]
                      for dy in range(side) for dx in range(side))


def relu(x):
    return np.maximum(x, 0)


def evenness(rgb):
    """How much of the canvas shows, as `canvas.canvas` tells it; between blocks, a straight line."""
    light = rgb.astype(np.float64).mean(-1)
    height, width = (side // 8 for side in light.shape)
    blocks = light.reshape(height, 8, width, 8)
    half = max(EVEN**2 * light.var(), EVEN_LEAST**2)
    near = lambda at: slice(max(at - 1, 0), at + 2)
    variances = np.array([[blocks[near(y), :, near(x)].var() for x in range(width)] for y in range(height)])
    least = np.array([[variances[near(y), near(x)].min() for x in range(width)] for y in range(height)])
    shown = 1 / (1 + least / half)
    for axis, count in ((0, height), (1, width)):
        at = (np.arange(4 * count) + 0.5) / 4 - 0.5  # middles of positions at half the sides, counted in blocks
        shown = np.apply_along_axis(lambda line: np.interp(at, np.arange(count), line), axis, shown)
    return shown.repeat(2, 0).repeat(2, 1)


def encode(rgb, arrays, on_canvas=True):
    """`Live.encode` as `shapes.live_layers` tells it."""
    x = rgb.astype(np.float64) - MEAN
    ys, xs = (np.arange(side) % CANVAS_SIDE for side in rgb.shape[:2])
    grain = (canvas()[np.ix_(ys, xs)] * evenness(rgb) * float(on_canvas))[..., None]
    folded = np.concatenate([part[dy::2, dx::2] for part in (x, grain) for dy in (0, 1) for dx in (0, 1)], -1)
    taps = {1: convolve(relu(convolve(folded, arrays, "encoder0")), arrays, "encoder1", 2)}
    for n in (2, 3):
        inner = relu(convolve(relu(taps[n - 1]), arrays, "encoder%da" % n, 2))
        taps[n] = convolve(inner, arrays, "encoder%db" % n)
    return taps


def unfold(x):
    """Depth to space: a quarter of the channels for each of the four pixels that a position becomes."""
    rgb, width = np.empty((2 * x.shape[0], 2 * x.shape[1], x.shape[2] // 4)), x.shape[2] // 4
    for n, (dy, dx) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        rgb[dy::2, dx::2] = x[..., width * n : width * (n + 1)]
    return rgb


def driven(taps, arrays):
    """What the style's code says to the decoder's channels, in the order in which they are told."""
    taps = {n: f.astype(np.float64) for n, f in taps.items()}
    code = np.concatenate([f.mean((0, 1)) for _, f in sorted(taps.items())]
                          + [np.sqrt(f.var((0, 1)) + 1e-5) for _, f in sorted(taps.items())])
    hidden = relu(code @ arrays["code0_kernel"][0, 0] + arrays["code0_bias"])
    return hidden @ arrays["code_kernel"][0, 0] + arrays["code_bias"]


def modulated(x, arrays, layer, told):
    """The layer's answer as the code has it, and what the code says to the layers after it."""
    gain, bias, rest = np.split(told, [x.shape[-1], 2 * x.shape[-1]])
    return relu(convolve(x, arrays, layer) * (1 + gain) + bias), rest


def draw(taps, arrays, pairs=LIVE_PAIRS):
    """What the decoder draws at a quarter, and what the code says to the layers after it."""
    layers = {LIVE_PAIRS: ((3, ("ab",)), (2, ("ab", "cd")), (1, ("ab", "cd"))),
              LITE_PAIRS: ((1, ("ab",)),)}[pairs]
    x, told = taps[layers[0][0]].astype(np.float64), driven(taps, arrays)
    for n, names in layers:
        for first, second in names:
            inner, told = modulated(relu(x), arrays, "decoder%d%s" % (n, first), told)
            x = x + convolve(inner, arrays, "decoder%d%s" % (n, second))
        if n > 1:
            x = convolve(relu(x), arrays, "up%d" % n).repeat(2, 0).repeat(2, 1) + taps[n - 1]
    return x, told


def finish(drawn, told, arrays):
    x, told = modulated(unfold(relu(convolve(relu(drawn), arrays, "up1"))), arrays, "decoder0", told)
    assert not told.size
    return unfold(convolve(x, arrays, "image")) + MEAN


def distance(a, b):
    """Relative Frobenius distance."""
    return np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b)


def moments(array):
    """Mean and covariance over positions, float64."""
    flat = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
    centred = flat - flat.mean(0)
    return flat.mean(0), centred.T @ centred / len(flat)


def regular(covariance, ridge):
    """With the ridge's share of the mean eigenvalue on the diagonal."""
    return covariance + ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def power(covariance, exponent):
    values, vectors = np.linalg.eigh(covariance)
    # Rounding may make an eigenvalue of zero negative.
    return vectors @ np.diag(np.maximum(values, 0.0) ** exponent) @ vectors.T


def closed_form(method, content, style, ridge=0.0):
    """The matrix of ``method`` as its paper gives it."""
    own, target = regular(moments(content)[1], ridge), moments(style)[1]
    if method == "wct":
        return power(own, -0.5) @ power(target, 0.5)
    if method == "ot":
        half, inverse = power(own, 0.5), power(own, -0.5)
        return inverse @ power(half @ target @ half, 0.5) @ inverse
    if method == "adain":
        return np.diag(np.sqrt(np.diag(target) / np.diag(own)))
    return np.sqrt(np.trace(moments(content)[1]) / len(own)) * power(own, -0.5)
