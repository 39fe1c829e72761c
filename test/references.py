"""Formulas in numpy's float64 that the package is tested against: the live model's forward pass, and the transforms'
matrices as their papers give them."""

import numpy as np

from ros_style_transfer.models.canvas import FLATNESS_FLOOR, FLATNESS_HALF
from ros_style_transfer.models.shapes import LIVE_BLOCKS, live_layers

MEAN = np.array([123.68, 116.779, 103.939]) / 255
WIDTHS = (6, 8, 10)


def random_arrays(widths=WIDTHS, seed=0, blocks=LIVE_BLOCKS):
    """Random weights that keep the scale of the features; no bias is zero."""
    rng, arrays = np.random.default_rng(seed), {}
    for name, (side, _, channels, width) in live_layers(widths, blocks).items():
        shape = (side, side, channels, width)
        arrays[name + "_kernel"] = np.float32(rng.normal(0, np.sqrt(2 / (side * side * channels)), shape))
        arrays[name + "_bias"] = np.float32(rng.normal(0, 0.1, width))
    return arrays


def convolve(x, arrays, name, stride=1):
    """A convolution of ``x [h, w, in]``, an offset of the kernel at a time; around the picture there are zeros, but
    for the layers at a quarter of the sides its reflection.  With a stride of 2 a position sees itself and two on."""
    kernel, bias = (arrays[name + part].astype(np.float64) for part in ("_kernel", "_bias"))
    side = kernel.shape[0]
    before, after = (0, 1) if stride == 2 else (side // 2, side // 2)
    padding = ((before, after), (before, after), (0, 0))
    padded = (
        np.pad(x, padding, "reflect") if name in ("stem", "decoder0_0a", "decoder0_0b", "image") else np.pad(x, padding)
    )
    height, width = x.shape[:2]
    return bias + sum(
        padded[dy : dy + height : stride, dx : dx + width : stride] @ kernel[dy, dx]
        for dy in range(side)
        for dx in range(side)
    )


def relu(x):
    return np.maximum(x, 0)


def flatness(rgb):
    """The formula of `models.canvas`, interpolated linearly between blocks."""
    light = rgb.astype(np.float64).mean(-1)
    height, width = (side // 8 for side in light.shape)
    blocks = light.reshape(height, 8, width, 8)
    half = max(FLATNESS_HALF**2 * light.var(), FLATNESS_FLOOR**2)
    near = lambda at: slice(max(at - 1, 0), at + 2)
    variances = np.array([[blocks[near(y), :, near(x)].var() for x in range(width)] for y in range(height)])
    least = np.array([[variances[near(y), near(x)].min() for x in range(width)] for y in range(height)])
    shown = 1 / (1 + least / half)
    for axis, count in ((0, height), (1, width)):
        at = (np.arange(4 * count) + 0.5) / 4 - 0.5  # middles of positions at half the sides, counted in blocks
        shown = np.apply_along_axis(lambda line: np.interp(at, np.arange(count), line), axis, shown)
    return shown.repeat(2, 0).repeat(2, 1)


def encode(rgb, arrays):
    """The features of levels 1 and 2 of a picture 0..1, as `shapes.live_layers` tells it."""
    x = rgb.astype(np.float64) - MEAN
    x = np.concatenate([x[dy::4, dx::4] for dy in range(4) for dx in range(4)], -1)
    x = relu(convolve(relu(convolve(x, arrays, "stem")), arrays, "encoder1a", 2))
    first = convolve(x, arrays, "encoder1b")
    x = relu(convolve(relu(first), arrays, "encoder2a", 2))
    return {1: first, 2: convolve(x, arrays, "encoder2b")}


def unfold(x):
    """Three of the 48 channels for each of the sixteen pixels that a position becomes."""
    rgb = np.empty((4 * x.shape[0], 4 * x.shape[1], 3))
    for n in range(16):
        rgb[n // 4 :: 4, n % 4 :: 4] = x[..., 3 * n : 3 * n + 3]
    return rgb


def style_code(features, arrays):
    """Gains and shifts of the decoder's channels, in the order of its layers."""
    features = {level: f.astype(np.float64) for level, f in features.items()}
    code = np.concatenate(
        [features[level].mean((0, 1)) for level in (1, 2)]
        + [np.sqrt(features[level].var((0, 1)) + 1e-5) for level in (1, 2)]
    )
    hidden = relu(code @ arrays["style_code_kernel"][0, 0] + arrays["style_code_bias"])
    return hidden @ arrays["modulation_kernel"][0, 0] + arrays["modulation_bias"]


def modulated(x, arrays, name, code):
    """The layer's answer as the code scales and shifts it, and the code of the layers after it."""
    x = convolve(x, arrays, name)
    gain, shift, rest = np.split(code, [x.shape[-1], 2 * x.shape[-1]])
    return x * (1 + gain) + shift, rest


def residual(x, arrays, level, blocks, code):
    for n in range(blocks[level]):
        inner, code = modulated(relu(x), arrays, "decoder%d_%da" % (level, n), code)
        inner, code = modulated(relu(inner), arrays, "decoder%d_%db" % (level, n), code)
        x = x + inner
    return x, code


def decode_features(features, arrays, blocks=LIVE_BLOCKS, noise=None):
    """The decoder's features at a quarter of the sides, and the code of the layers after them."""
    x, code = features[2].astype(np.float64), style_code(features, arrays)
    gains = np.split(
        code[-sum(f.shape[-1] for f in (features[2], features[1])) - arrays["stem_bias"].size :],
        [features[2].shape[-1]],
    )
    for level in (2, 1):
        if noise is not None:
            x = x + gains[2 - level][: x.shape[-1]] * noise[level]
        x, code = residual(x, arrays, level, blocks, code)
        x, code = modulated(relu(x), arrays, "up%d" % level, code)
        x = x.repeat(2, 0).repeat(2, 1)
        if level == 2:
            x = x + features[1]
    return x, code


def decode_image(features, code, arrays, blocks=LIVE_BLOCKS, noise=None):
    """The image, before its colors are the style's."""
    if noise is not None:
        features = features + code[-features.shape[-1] :] * noise[0]
    x, code = residual(features, arrays, 0, blocks, code)
    assert code.size == sum(arrays[name + "_bias"].size for name in ("stem", "encoder1a", "encoder2a"))
    return unfold(convolve(relu(x), arrays, "image")) + MEAN


def distance(a, b):
    """Relative Frobenius distance."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def moments(array):
    """Mean and covariance over positions, float64."""
    flat = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
    centred = flat - flat.mean(0)
    return flat.mean(0), centred.T @ centred / len(flat)


def regular(covariance, ridge, floor=0.0):
    """With ``ridge`` times the mean eigenvalue, and with ``floor``, on the diagonal."""
    covariance = covariance + floor * np.eye(len(covariance))
    return covariance + ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def power(covariance, exponent):
    values, vectors = np.linalg.eigh(covariance)
    # Rounding may make an eigenvalue of zero negative.
    return vectors @ np.diag(np.maximum(values, 0.0) ** exponent) @ vectors.T


def closed_form(method, content, style, ridge=0.0, floor=0.0):
    """The matrix of ``method`` as its paper gives it."""
    own, target = regular(moments(content)[1], ridge, floor), moments(style)[1]
    if method == "wct":
        return power(own, -0.5) @ power(target, 0.5)
    if method == "ot":
        half, inverse = power(own, 0.5), power(own, -0.5)
        return inverse @ power(half @ target @ half, 0.5) @ inverse
    if method == "adain":
        return np.diag(np.sqrt(np.diag(target) / np.diag(own)))
    return np.sqrt(np.trace(moments(content)[1]) / len(own)) * power(own, -0.5)


def transformed(content, style, method, ridge, strength=1.0, floor=0.0):
    """Features, or colors, with another's statistics, as the method's paper has it."""
    mean = moments(content)[0]
    whole = (content - mean) @ closed_form(method, content, style, ridge, floor) + moments(
        content if method == "whiten" else style
    )[0]
    return strength * whole + (1 - strength) * content
