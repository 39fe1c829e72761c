"""Image style transfer by optimisation (Gatys, Ecker, Bethge 2015): a picture is changed until its features
agree with the content's and their statistics with the style's.

The loss of a picture ``x``, with the features ``F [n, c]`` at ``n`` positions, their mean ``m``, Gram matrix
``G = F'F/n`` and covariance ``S = G - m m'``, and ``F_c``, ``m_s``, ``G_s``, ``S_s`` those of content and style::

    content_weight * sum over content_layers of  w * mean (F - F_c)^2       relative: / variance of F_c
    style_weight   * sum over style_layers of    w * |G - G_s|^2            relative: / |G_s|^2
    tv_weight      * mean of (dx^2 + dy^2)^tv_power

or, for the style, ``|S - S_s|^2 + |m - m_s|^2`` (``covariance``) or the distance of two normal distributions,
``|m - m_s|^2 + tr(S + S_s - 2 (S_s^1/2 S S_s^1/2)^1/2)`` (``w2``).  All are means: a weight says the
same at every size, which is what lets a small picture be rendered first.
"""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..models import vgg_weights, weights
from ..models.layers import Convolutions, layers_3x3, traced
from ..models.shapes import ALL_CONVOLUTIONS, VGG_WIDTHS, encoder_layers
from ..models.vgg import preprocess
from .optimizers import Evaluation

RGB = tf.TensorSpec((None, None, 3))
SCALAR = tf.TensorSpec(())
COARSEST = 16  # pixels of a position of the deepest block
# Added where a picture may have no variation at all, as a share of what it does have and for good.
SHARE, TINY = 1e-4, 1e-8


class LossNetwork(Convolutions):
    """The network whose features are compared.

    Args:
        arrays: ``block1_conv1_kernel [3,3,in,out]``, ``block1_conv1_bias [out]`` and so on, for RGB.
        layers: ``[(name, channels in, channels out), ...]`` in order.
        scale: what the values 0..1 less their mean are multiplied by.
        padding, dtype: see `layers.Convolutions`.
        pooling: ``max`` or ``average`` (Gatys et al. found it smoother).
    """

    def __init__(self, arrays, layers, scale, padding, pooling, dtype):
        super().__init__(
            layers_3x3(layers),
            arrays,
            "",
            dtype,
            padding,
        )
        self._layers, self._scale = [name for name, _, _ in layers], scale
        self._pool = tf.nn.avg_pool2d if pooling == "average" else tf.nn.max_pool2d
        self.channels = {name: width for name, _, width in layers}

    def features(self, rgb, wanted):
        """``{layer: [h / 2^(block-1), w / 2^(block-1), c]}``, in the network's dtype, of the layers ``wanted``.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1.
        """
        x = preprocess(rgb, tf.float32)[None] * self._scale
        x, found = tf.cast(x, self.dtype), {}
        for layer in self._layers:
            if layer.endswith("conv1") and block_of(layer) > 1:
                x = self._pool(x, 2, 2, "VALID")
            x = self(x, layer)
            if layer in wanted:
                found[layer] = x[0]
            if len(found) == len(wanted):
                break
        return found

    def depth(self, layer):
        """The place of ``layer`` in the network, from 0."""
        return self._layers.index(layer)

    def reach(self, layers):
        """How many pixels off a pixel changes the features at ``layers``, rounded up to whole positions."""
        last = max(map(self.depth, layers))
        pixels = sum(2 ** (block_of(layer) - 1) for layer in self._layers[: last + 1])
        pixels += 2 ** (block_of(self._layers[last]) - 1)  # the poolings
        return -(-pixels // COARSEST) * COARSEST

    def bytes_per_pixel(self, layers):
        """About what an evaluation and its gradient keep in memory for each pixel."""
        last = max(map(self.depth, layers))
        values = sum(self.channels[layer] / 4 ** (block_of(layer) - 1) for layer in self._layers[: last + 1])
        return values * BYTES_PER_VALUE


BYTES_PER_VALUE = 11.0  # measured: the values themselves, their gradients, and what a convolution needs


def block_of(layer):
    """The number of the block that ``layer`` is in: ``block3_conv1`` is in the third."""
    return int(layer[5])


def load_network(name, path=None, pooling="max", dtype="float32"):
    """The `LossNetwork` called ``name``: ``vgg16``, ``vgg19`` or ``compact``, VGG16 at a quarter of its widths.

    Args:
        path: a file of VGG's official weights, see `vgg_weights.load`.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    dtype = tf.as_dtype(dtype)
    if name == "compact":
        arrays, entry = weights.load("compact")
        return LossNetwork(arrays, encoder_layers(entry["backbone"], entry["widths"]), 1.0, "reflect", pooling, dtype)
    arrays = dict(vgg_weights.load(name, path))
    arrays["block1_conv1_kernel"] = arrays["block1_conv1_kernel"][:, :, ::-1]  # BGR
    return LossNetwork(arrays, encoder_layers(name, VGG_WIDTHS, ALL_CONVOLUTIONS), 255.0, "zero", pooling, dtype)


class Moments(NamedTuple):
    """A layer's features in each of ``r`` regions, float32: sums over the positions until divided by their number.

    Attributes:
        count: ``[r]`` positions.
        total: ``[r, c]`` the features.
        product: ``[r, c, c]`` their products, ``F'F``.
    """

    count: tf.Tensor
    total: tf.Tensor
    product: tf.Tensor


class Target(NamedTuple):
    """What a style wants of a layer in each region: mean ``[r, c]``, Gram matrix and covariance ``[r, c, c]``,
    the covariance's root ``[r, c, c]``, and the numbers that its distances are divided by ``[r]``."""

    mean: tf.Tensor
    gram: tf.Tensor
    covariance: tf.Tensor
    root: tf.Tensor
    mean_scale: tf.Tensor
    scale: tf.Tensor


@tf.custom_gradient
def products(flat):
    """``F'F`` of ``F [n, c]``, float32; its gradient in one multiplication, where the general rule needs two, and in
    what ``F`` came in: it goes back through convolutions in that."""

    def gradient(upstream):
        return tf.matmul(flat, tf.cast(upstream + tf.transpose(upstream), flat.dtype))

    exact = tf.cast(flat, tf.float32)
    return tf.matmul(exact, exact, transpose_a=True), gradient


def moments(features, share=None):
    """`Moments` (sums) of ``features [h, w, c]`` in the regions ``share [r, h, w]``; None: the whole."""
    flat = tf.reshape(features, (-1, tf.shape(features)[-1]))
    if share is None:
        count = tf.cast(tf.shape(flat)[:1], tf.float32)
        return Moments(count, tf.reduce_sum(tf.cast(flat, tf.float32), 0)[None], products(flat)[None])
    flat, share = tf.cast(flat, tf.float32), tf.reshape(share, (tf.shape(share)[0], -1))
    of_regions = tf.map_fn(lambda part: products(flat * tf.sqrt(part)[:, None]), share)
    return Moments(tf.reduce_sum(share, 1), tf.matmul(share, flat), of_regions)


def divided(sums):
    """Mean ``[r, c]``, Gram matrix and covariance ``[r, c, c]`` of `Moments` that are sums."""
    count = tf.maximum(sums.count, 1.0)[:, None]
    mean, gram = sums.total / count, sums.product / count[..., None]
    return mean, gram, gram - mean[:, :, None] * mean[:, None, :]


@tf.custom_gradient
def trace_of_root(matrix):
    """``tr M^(1/2)`` of symmetric matrices ``[r, c, c]``; the gradient ``M^(-1/2) / 2`` is kept finite."""
    values, vectors = tf.linalg.eigh(matrix)
    values = tf.maximum(values, 0.0)
    floor = SHARE * tf.reduce_mean(values, -1, keepdims=True) + TINY

    def gradient(upstream):
        inverse = 0.5 * tf.math.rsqrt(values + floor)
        return upstream[:, None, None] * tf.matmul(vectors * inverse[:, None, :], vectors, transpose_b=True)

    return tf.reduce_sum(tf.sqrt(values), -1), gradient


class Objective:
    """The loss of a picture of one size and its gradient.

    Layers that hold next to nothing of the loss can be left out (`leave_out`): the deepest ones cost most,
    and with weights like the ancestor's they hold a millionth.

    Args:
        network: `LossNetwork`.
        options: `options.RenderOptions`.
    """

    def __init__(self, network, options):
        self.network, self._options = network, options
        self._style, self._content = tuple(options.style_layers), tuple(options.content_layers)
        self._graphs = {}

    def reach(self):
        """See `LossNetwork.reach`."""
        return self.network.reach(self._style + self._content)

    def bytes_per_pixel(self):
        """See `LossNetwork.bytes_per_pixel`."""
        return self.network.bytes_per_pixel(self._style + self._content)

    def _graph(self, function, *signature, **fixed):
        """``function`` as a graph, traced when it is first needed for what is ``fixed`` (names of layers)."""
        key = (function.__name__, len(signature), self._style, *sorted(fixed.items()))
        if key not in self._graphs:
            self._graphs[key] = traced(functools.partial(function, **fixed), *signature)
        return self._graphs[key]

    def _specs(self, layers):
        """The signatures of contents, their scales, targets, sums and regions' shares of ``layers``."""
        regions = tf.TensorSpec((None,))
        features = {n: tf.TensorSpec((None, None, self.network.channels[n]), self.network.dtype) for n in self._content}
        vectors = {n: tf.TensorSpec((None, self.network.channels[n])) for n in layers}
        matrices = {n: tf.TensorSpec((None, self.network.channels[n], self.network.channels[n])) for n in layers}
        targets = {n: Target(vectors[n], *[matrices[n]] * 3, regions, regions) for n in layers}
        sums = {n: Moments(regions, vectors[n], matrices[n]) for n in layers}
        return (
            features,
            {n: SCALAR for n in self._content},
            targets,
            sums,
            {n: tf.TensorSpec((None, None, None)) for n in layers},
        )

    # --- what is wanted ---------------------------------------------------------------------

    def prepare(self, content, regions, shares=None, tile=None):
        """Say what is wanted of the picture from now on.

        Args:
            content: float32 ``[h, w, 3]``, 0..1.
            regions: for each region its styles, ``[(weight, float32 [h, w, 3]), ...]`` each.
            shares: float32 ``[r, h, w]``, how much of each pixel is each region's; None: one region, the whole.
            tile: longer side, pixels, of what is evaluated at once; None: everything.
        """
        self._tiles = tiles(*content.shape[:2], tile, self.reach())
        self._masked = shares is not None
        self._shares = [self._pooled(shares, outer) if self._masked else {} for _, outer in self._tiles]
        self._targets = self._wanted(regions)
        look = self._graph(self.network.features, RGB, wanted=self._content)
        self._contents = [look(_cut(content, outer)) for _, outer in self._tiles]
        self._content_scale = self._scale_of_content(content.shape)

    def _wanted(self, regions):
        """``{layer: Target}``: each region's styles blended by their weights."""
        look = self._graph(self.network.features, RGB, wanted=self._style)
        known = {}  # a style may be wanted in several regions
        for _, rgb in (pair for styles in regions for pair in styles):
            if id(rgb) not in known:
                known[id(rgb)] = {layer: moments(f) for layer, f in look(tf.constant(rgb)).items()}
        means = {}
        for layer in self._style:
            blended = [
                sum(
                    np.float32(weight / sum(w for w, _ in styles))
                    * tf.concat(
                        [tf.reshape(part, (-1,)) / known[id(rgb)][layer].count for part in known[id(rgb)][layer][1:]], 0
                    )
                    for weight, rgb in styles
                )
                for styles in regions
            ]
            c = self.network.channels[layer]
            rows = tf.stack(blended)
            means[layer] = Moments(tf.ones(len(regions)), rows[:, :c], tf.reshape(rows[:, c:], (-1, c, c)))
        return self._graph(self._targets_of, self._specs(self._style)[3])(means)

    def _targets_of(self, sums):
        targets = {}
        for layer, part in sums.items():
            mean, gram, covariance = divided(part)
            root = covariance
            if self._options.style_loss == "w2":
                values, vectors = tf.linalg.eigh(covariance)
                root = tf.matmul(vectors * tf.sqrt(tf.maximum(values, 0.0))[:, None, :], vectors, transpose_b=True)
            norm = lambda x, axes: tf.reduce_sum(tf.square(x), axes) + TINY
            if not self._options.relative:
                mean_scale = scale = tf.ones_like(part.count)
            elif self._options.style_loss == "gram":
                mean_scale = scale = norm(gram, (1, 2))
            elif self._options.style_loss == "covariance":
                mean_scale, scale = norm(mean, 1), norm(covariance, (1, 2))
            else:
                mean_scale = scale = norm(mean, 1) + tf.linalg.trace(covariance)
            targets[layer] = Target(mean, gram, covariance, root, mean_scale, scale)
        return targets

    def _pooled(self, shares, outer):
        """The regions' shares of every position of every style layer, of one tile."""
        part, pooled = _cut(np.moveaxis(shares, 0, -1), outer), {}
        for layer in self._style:
            side = 2 ** (block_of(layer) - 1)
            pooled[layer] = tf.transpose(tf.nn.avg_pool2d(part[None], side, side, "VALID")[0], (2, 0, 1))
        return pooled

    def _scale_of_content(self, shape):
        """What each content layer's sum of squares is divided by to be its share of the loss."""
        scales = {}
        for layer, weight in self._options.content_layers.items():
            side = 2 ** (block_of(layer) - 1)
            variance = 1.0
            if self._options.relative:
                total = square = count = 0.0
                for features, (inner, outer) in zip(self._contents, self._tiles):
                    part = tf.cast(_positions(features[layer], layer, _inside(inner, outer)), tf.float32)
                    total += tf.reduce_sum(part, (0, 1))
                    square += tf.reduce_sum(tf.square(part), (0, 1))
                    count += float(part.shape[0] * part.shape[1])
                mean_square = tf.reduce_mean(square / count)
                variance = tf.reduce_mean(square / count - tf.square(total / count))
                variance = tf.maximum(variance, SHARE * mean_square) + TINY
            count = (shape[0] // side) * (shape[1] // side) * self.network.channels[layer]
            weight *= self._options.content_weight
            scales[layer] = tf.constant(np.float32(variance * count / weight if weight else np.inf))
        return scales

    # --- a picture's loss -------------------------------------------------------------------

    def __call__(self, x):
        """The `optimizers.Evaluation` of ``x``, float32 ``[h, w, 3]``; its parts, weighted: content, style, tv."""
        given = tf.constant(x)
        features, scales, targets, _, shares = self._specs(self._style)
        if len(self._tiles) == 1:
            content, style, gradient = self._graph(
                self._evaluated, RGB, features, scales, targets, *[shares] * self._masked, layers=self._style
            )(given, self._contents[0], self._content_scale, self._targets, *self._share(0))
            gradient = gradient.numpy()
        else:
            content, style, gradient = self._in_tiles(x)
        tv, slope = self._graph(self._tv_and_gradient, RGB)(given)
        parts = {"content": float(content), "style": float(style), "tv": float(tv)}
        return Evaluation(sum(parts.values()), gradient + slope.numpy(), parts)

    def style_by_layer(self, x):
        """``{layer: its weighted part of the loss}`` of the style layers."""
        distances = self._graph(self._distances, *self._specs(self._style)[3:1:-1])(self._sums(x), self._targets)
        return {layer: float(value) for layer, value in distances.items()}

    def leave_out(self, x, share):
        """Leave the deepest style layers out from now on if they hold less than ``share`` of the style's part at ``x``.

        Returns:
            The layers' names.
        """
        parts = self.style_by_layer(x)
        lively = [layer for layer in self._style if parts[layer] >= share * sum(parts.values())]
        deepest = max(map(self.network.depth, lively or self._style))
        left = [layer for layer in self._style if self.network.depth(layer) > deepest]
        self._style = tuple(layer for layer in self._style if layer not in left)
        self._targets = {layer: self._targets[layer] for layer in self._style}
        self._shares = [{layer: share[layer] for layer in self._style if layer in share} for share in self._shares]
        return left

    def _share(self, n):
        """The regions' shares in tile ``n`` as an argument, if there are regions."""
        return [self._shares[n]] if self._masked else []

    def _sums(self, x):
        """The `Moments` of the whole picture."""
        box, shares = tf.TensorSpec((4,), tf.int32), self._specs(self._style)[4]
        look, sums = self._graph(self._summed, RGB, box, *[shares] * self._masked, layers=self._style), None
        for n, (inner, outer) in enumerate(self._tiles):
            part = look(_cut(x, outer), _inside(inner, outer), *self._share(n))
            sums = part if sums is None else tf.nest.map_structure(tf.add, sums, part)
        return sums

    def _in_tiles(self, x):
        """The same tile by tile: the statistics of the whole first, then every tile's gradient by the chain rule."""
        features, scales, targets, sums, shares = self._specs(self._style)
        style, slopes = self._graph(self._style_of_sums, sums, targets)(self._sums(x), self._targets)
        box = tf.TensorSpec((4,), tf.int32)
        look = self._graph(
            self._of_part, RGB, box, features, scales, sums, *[shares] * self._masked, layers=self._style
        )
        content, gradient = 0.0, np.zeros_like(x)
        for n, (inner, outer) in enumerate(self._tiles):
            part, slope = look(
                _cut(x, outer), _inside(inner, outer), self._contents[n], self._content_scale, slopes, *self._share(n)
            )
            top, left, bottom, right = outer
            gradient[top:bottom, left:right] += slope.numpy()
            content += float(part)
        return content, style, gradient

    # --- what becomes a graph ---------------------------------------------------------------

    def _evaluated(self, x, contents, content_scale, targets, shares=None, layers=()):
        with tf.GradientTape() as tape:
            tape.watch(x)
            features = self.network.features(x, layers + self._content)
            content = self._content_of(features, contents, content_scale)
            style = self._style_of(
                {layer: moments(features[layer], None if shares is None else shares[layer]) for layer in layers},
                targets,
            )
            loss = content + style
        return content, style, tape.gradient(loss, x)

    def _summed(self, x, box, shares=None, layers=()):
        return self._sums_inside(self.network.features(x, layers), box, shares, layers)

    def _sums_inside(self, features, box, shares, layers):
        inside = {}
        for layer in layers:
            share = (
                None
                if shares is None
                else tf.transpose(_positions(tf.transpose(shares[layer], (1, 2, 0)), layer, box), (2, 0, 1))
            )
            inside[layer] = moments(_positions(features[layer], layer, box), share)
        return inside

    def _style_of_sums(self, sums, targets):
        with tf.GradientTape() as tape:
            tape.watch(sums)
            style = self._style_of(sums, targets)
        return style, tape.gradient(style, sums, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def _of_part(self, x, box, contents, content_scale, slopes, shares=None, layers=()):
        with tf.GradientTape() as tape:
            tape.watch(x)
            features = self.network.features(x, layers + self._content)
            cut = lambda values: {layer: _positions(values[layer], layer, box) for layer in self._content}
            loss = content = self._content_of(cut(features), cut(contents), content_scale)
            for layer, sums in self._sums_inside(features, box, shares, layers).items():
                loss += tf.reduce_sum(slopes[layer].total * sums.total)
                loss += tf.reduce_sum(slopes[layer].product * sums.product)
        return content, tape.gradient(loss, x)

    def _content_of(self, features, contents, content_scale):
        exact = lambda values: tf.cast(values, tf.float32)
        return sum(
            tf.reduce_sum(tf.square(exact(features[layer]) - exact(contents[layer]))) / content_scale[layer]
            for layer in self._content
        )

    def _style_of(self, sums, targets):
        return sum(self._distances(sums, targets).values())

    def _distances(self, sums, targets):
        """``{layer: its weighted part of the loss}``."""
        parts = {}
        for layer in sums:
            mean, gram, covariance = divided(sums[layer])
            target = targets[layer]
            far = tf.reduce_sum(tf.square(mean - target.mean), 1)
            if self._options.style_loss == "gram":
                distance = tf.reduce_sum(tf.square(gram - target.gram), (1, 2)) / target.scale
            elif self._options.style_loss == "covariance":
                distance = (
                    tf.reduce_sum(tf.square(covariance - target.covariance), (1, 2)) / target.scale
                    + far / target.mean_scale
                )
            else:
                between = tf.matmul(target.root, tf.matmul(covariance, target.root))
                distance = (
                    far
                    + tf.linalg.trace(covariance)
                    + tf.linalg.trace(target.covariance)
                    - 2.0 * trace_of_root(between)
                ) / target.scale
            # A region weighs by its size, as it does in the picture.
            share = sums[layer].count / (tf.reduce_sum(sums[layer].count) + TINY)
            weight = self._options.style_weight * self._options.style_layers[layer]
            parts[layer] = weight * tf.reduce_sum(tf.stop_gradient(share) * distance)
        return parts

    def _tv_and_gradient(self, x):
        if not self._options.tv_weight:
            return tf.constant(0.0), tf.zeros_like(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            # No power below 1 has a slope at 0.
            steps = tf.square(x[:-1, :-1] - x[1:, :-1]) + tf.square(x[:-1, :-1] - x[:-1, 1:]) + TINY
            # steps^p, whose slope is p steps^(p - 1): a power costs more than all the rest here, one is enough.
            powers = steps * tf.stop_gradient(tf.pow(steps, self._options.tv_power - 1.0))
            tv = self._options.tv_weight * 3.0 * tf.reduce_mean(powers)
        return tv, self._options.tv_power * tape.gradient(tv, x)


def tiles(height, width, side, reach):
    """``[(inner, outer), ...]``, boxes (top, left, bottom, right): the inner ones cover the picture, each once,
    the outer ones hold all that changes what the network sees there; no outer side is above ``side``."""
    if side is None or max(height, width) <= side:
        return [((0, 0, height, width),) * 2]
    boxes = []
    for top, bottom in _cuts(height, side, reach):
        for left, right in _cuts(width, side, reach):
            boxes.append(
                (
                    (top, left, bottom, right),
                    (max(0, top - reach), max(0, left - reach), min(height, bottom + reach), min(width, right + reach)),
                )
            )
    return boxes


def _cuts(length, side, reach):
    if length <= side:
        return [(0, length)]
    step = max(COARSEST, (side - 2 * reach) // COARSEST * COARSEST)
    starts = list(range(0, length, step))
    if len(starts) > 1 and length - starts[-1] < COARSEST:
        starts.pop()  # less than one position of the deepest block
    return list(zip(starts, starts[1:] + [length]))


def _cut(array, box):
    top, left, bottom, right = box
    return tf.constant(array[top:bottom, left:right])


def _inside(inner, outer):
    """``inner`` as seen from the outer box's corner."""
    top, left = outer[:2]
    return tf.constant([inner[0] - top, inner[1] - left, inner[2] - top, inner[3] - left], tf.int32)


def _positions(features, layer, box):
    """What of a tile's ``features [h, w, c]`` lies in ``box``, pixels."""
    side = 2 ** (block_of(layer) - 1)
    return features[box[0] // side : box[2] // side, box[1] // side : box[3] // side]
