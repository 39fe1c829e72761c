"""The loss of a render and its gradient (Gatys, Ecker, Bethge 2015): a picture is changed until its features match
the content's and their statistics the style's.

For a picture ``x`` with the features ``F [n, c]`` at ``n`` positions, their mean ``m``, Gram matrix ``G = F'F/n`` and
covariance ``S = G - m m'``, and with ``F_c``, ``m_s``, ``G_s``, ``S_s`` of content and style, the loss is the sum of::

    content_weight * sum over content_layers of  w * mean (F - F_c)^2       relative: / variance of F_c
    style_weight   * sum over style_layers of    w * |G - G_s|^2            relative: / |G_s|^2
    tv_weight      * mean of (dx^2 + dy^2)^tv_power

The style's distance is instead ``|S - S_s|^2 + |m - m_s|^2`` with ``covariance``, or the squared Wasserstein distance
of two normal distributions, ``|m - m_s|^2 + tr(S + S_s - 2 (S_s^1/2 S S_s^1/2)^1/2)``, with ``w2``.  All terms are
means, so that a weight means the same at every size, and a small picture can be rendered first.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..models import vgg_weights, weights
from ..models.layers import Convolutions, layers_3x3, traced
from ..models.shapes import ALL_CONVOLUTIONS, VGG_WIDTHS, encoder_layers
from ..models.vgg import preprocess
from ..transfer.tiles import UNIT, Tile, tiles
from .optimizers import Evaluation
from .options import RenderOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatRgb = NDArray[np.float32]

Tensor = Any  # TensorFlow has no types
ByLayer = Dict[str, Tensor]

RGB = tf.TensorSpec((None, None, 3))
SCALAR = tf.TensorSpec(())
TILE = Tile(*[tf.TensorSpec((), tf.int32)] * len(Tile._fields))
# Added to what may be zero in a picture without variation: relative to what there is, and absolute.
RELATIVE_EPSILON, EPSILON = 1e-4, 1e-8
# The content's features vary at least by this fraction of their mean square; those of photographs by 0.13 to 0.5.  A
# flat content would otherwise forbid the style any texture, because its loss is relative to the variance.
MIN_CONTENT_VARIATION = 0.1
BYTES_PER_VALUE = 11.0  # measured: the values, their gradients, and what a convolution needs


class LossNetwork(Convolutions):
    """The network whose features are compared.

    Args:
        arrays: ``block1_conv1_kernel [3,3,in,out]``, ``block1_conv1_bias [out]`` and so on, for RGB.
        layers: ``[(name, input channels, output channels), ...]`` in order.
        scale: factor for the colours 0..1 after their mean is subtracted.
        padding, dtype: see `layers.Convolutions`.
        pooling: ``max``, or ``average``, which Gatys et al. found smoother.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        layers: Sequence[Tuple[str, int, int]],
        scale: float,
        padding: str,
        pooling: str,
        dtype: Any,
    ) -> None:
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

    def features(self, rgb: Tensor, layers: Sequence[str]) -> ByLayer:
        """``{layer: [h / 2^(block-1), w / 2^(block-1), c]}`` of the given layers, in the network's dtype.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1.
        """
        x = preprocess(rgb, tf.float32)[None] * self._scale
        x = tf.cast(x, self.dtype)
        features = {}
        for layer in self._layers:
            if layer.endswith("conv1") and block_of(layer) > 1:
                x = self._pool(x, 2, 2, "VALID")
            x = self(x, layer)
            if layer in layers:
                features[layer] = x[0]
            if len(features) == len(layers):
                break
        return features

    def depth(self, layer: str) -> int:
        """The position of ``layer`` in the network, from 0."""
        return self._layers.index(layer)

    def receptive_radius(self, layers: Sequence[str]) -> int:
        """From how many pixels away a pixel changes the features at ``layers``, rounded up to whole positions."""
        deepest = max(map(self.depth, layers))
        pixels = sum(stride_of(layer) for layer in self._layers[: deepest + 1])
        pixels += stride_of(self._layers[deepest])  # the poolings
        return -(-pixels // UNIT) * UNIT

    def bytes_per_pixel(self, layers: Sequence[str]) -> float:
        """About how much memory an evaluation and its gradient take for each pixel."""
        deepest = max(map(self.depth, layers))
        values = sum(self.channels[layer] / 4 ** (block_of(layer) - 1) for layer in self._layers[: deepest + 1])
        return float(values * BYTES_PER_VALUE)


def block_of(layer: str) -> int:
    """The number of a layer's block: ``block3_conv1`` is in the third."""
    return int(layer[5])


def stride_of(layer: str) -> int:
    """Pixels from one position of a layer to the next: the blocks are separated by poolings."""
    return int(2 ** (block_of(layer) - 1))


def load_network(name: str, path: Optional[str] = None, pooling: str = "max", dtype: str = "float32") -> LossNetwork:
    """The loss network ``vgg16``, ``vgg19`` or ``compact``, which is VGG16 at a quarter of its widths.

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
    arrays["block1_conv1_kernel"] = arrays["block1_conv1_kernel"][:, :, ::-1]  # the official weights take BGR
    return LossNetwork(arrays, encoder_layers(name, VGG_WIDTHS, ALL_CONVOLUTIONS), 255.0, "zero", pooling, dtype)


class FeatureSums(NamedTuple):
    """Sums over a layer's positions in each of ``r`` regions, float32; those of tiles add up to the picture's.

    Attributes:
        count: ``[r]``, positions.
        total: ``[r, c]``, features.
        product: ``[r, c, c]``, products of features, ``F'F``.
    """

    count: Tensor
    total: Tensor
    product: Tensor


class StyleTarget(NamedTuple):
    """What the style asks of a layer in each of ``r`` regions.

    Attributes:
        mean: ``[r, c]``.
        gram, covariance, root: ``[r, c, c]``; the root is the covariance's.
        mean_scale, scale: ``[r]``, by which the distances of mean and matrix are divided.
    """

    mean: Tensor
    gram: Tensor
    covariance: Tensor
    root: Tensor
    mean_scale: Tensor
    scale: Tensor


@tf.custom_gradient  # type: ignore[misc]
def _products(flat: Tensor) -> Tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``F'F`` of ``F [n, c]``, float32.  The gradient takes one multiplication instead of two, in the dtype of ``F``,
    in which it goes back through the convolutions."""

    def gradient(upstream: Tensor) -> Tensor:
        return tf.matmul(flat, tf.cast(upstream + tf.transpose(upstream), flat.dtype))

    exact = tf.cast(flat, tf.float32)
    return tf.matmul(exact, exact, transpose_a=True), gradient


def feature_sums(features: Tensor, coverage: Optional[Tensor] = None) -> FeatureSums:
    """The sums of ``features [h, w, c]``, weighted by each region's ``coverage [h, w, r]``; None: one region."""
    flat = tf.reshape(features, (-1, tf.shape(features)[-1]))
    if coverage is None:
        count = tf.cast(tf.shape(flat)[:1], tf.float32)
        return FeatureSums(count, tf.reduce_sum(tf.cast(flat, tf.float32), 0)[None], _products(flat)[None])
    flat = tf.cast(flat, tf.float32)
    coverage = tf.reshape(tf.transpose(coverage, (2, 0, 1)), (tf.shape(coverage)[2], -1))
    products = tf.map_fn(lambda weights: _products(flat * tf.sqrt(weights)[:, None]), coverage)
    return FeatureSums(tf.reduce_sum(coverage, 1), tf.matmul(coverage, flat), products)


def _statistics(sums: FeatureSums) -> Tuple[Tensor, Tensor, Tensor]:
    """Mean ``[r, c]``, Gram matrix and covariance ``[r, c, c]``."""
    count = tf.maximum(sums.count, 1.0)[:, None]
    mean, gram = sums.total / count, sums.product / count[..., None]
    return mean, gram, gram - mean[:, :, None] * mean[:, None, :]


@tf.custom_gradient  # type: ignore[misc]
def _trace_of_root(matrix: Tensor) -> Tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``tr M^(1/2)`` of symmetric matrices ``[r, c, c]``; the gradient ``M^(-1/2) / 2`` stays finite."""
    values, vectors = tf.linalg.eigh(matrix)
    values = tf.maximum(values, 0.0)
    floor = RELATIVE_EPSILON * tf.reduce_mean(values, -1, keepdims=True) + EPSILON

    def gradient(upstream: Tensor) -> Tensor:
        inverse = 0.5 * tf.math.rsqrt(values + floor)
        return upstream[:, None, None] * tf.matmul(vectors * inverse[:, None, :], vectors, transpose_b=True)

    return tf.reduce_sum(tf.sqrt(values), -1), gradient


class Objective:
    """The loss of a picture of one size, and its gradient.

    Args:
        network: whose features are compared.
        options: the weights and layers.
    """

    def __init__(self, network: LossNetwork, options: RenderOptions) -> None:
        self.network, self._options = network, options
        self._style_layers = tuple(options.style_layers)
        self._content_layers = tuple(options.content_layers)
        self._graphs: Dict[Any, Callable[..., Any]] = {}

    def receptive_radius(self) -> int:
        """See `LossNetwork.receptive_radius`."""
        return self.network.receptive_radius(self._style_layers + self._content_layers)

    def bytes_per_pixel(self) -> float:
        """See `LossNetwork.bytes_per_pixel`."""
        return self.network.bytes_per_pixel(self._style_layers + self._content_layers)

    def _graph(self, function: Callable[..., Any], *signature: Any, **layers: Tuple[str, ...]) -> Callable[..., Any]:
        """``function`` as a graph, traced when it is first needed for these ``layers``."""
        key = (getattr(function, "__name__", ""), len(signature), self._style_layers, *sorted(layers.items()))
        if key not in self._graphs:
            self._graphs[key] = traced(functools.partial(function, **layers), *signature)
        return self._graphs[key]

    def _specs(self, layers: Sequence[str]) -> Tuple[Any, Any, Any, Any, Any]:
        """The signatures of the contents' features, their scales, and the targets, sums and coverage of ``layers``."""
        channels = self.network.channels
        regions = tf.TensorSpec((None,))
        features = {n: tf.TensorSpec((None, None, channels[n]), self.network.dtype) for n in self._content_layers}
        scales = {n: SCALAR for n in self._content_layers}
        vectors = {n: tf.TensorSpec((None, channels[n])) for n in layers}
        matrices = {n: tf.TensorSpec((None, channels[n], channels[n])) for n in layers}
        targets = {n: StyleTarget(vectors[n], matrices[n], matrices[n], matrices[n], regions, regions) for n in layers}
        sums = {n: FeatureSums(regions, vectors[n], matrices[n]) for n in layers}
        coverage = {n: tf.TensorSpec((None, None, None)) for n in layers}
        return features, scales, targets, sums, coverage

    # --- targets ----------------------------------------------------------------------------

    def prepare(
        self,
        content: FloatRgb,
        regions: Sequence[Sequence[Tuple[float, FloatRgb]]],
        coverage: Optional[NDArray[np.float32]] = None,
        tile_side: Optional[int] = None,
    ) -> None:
        """Set what a picture is compared with from now on.

        Args:
            content: float32 ``[h, w, 3]``, 0..1.
            regions: for each region its styles, ``[(weight, float32 [h, w, 3]), ...]``.
            coverage: float32 ``[r, h, w]``, how much of each pixel belongs to each region; None: one region.
            tile_side: the longest side, pixels, of what is evaluated at once; None: the whole picture.
        """
        height, width = content.shape[:2]
        radius, side = self.receptive_radius(), None
        if tile_side is not None and tile_side < max(height, width):
            side = max(UNIT, (tile_side - 2 * radius) // UNIT * UNIT)
        self._tiles: List[Tile] = tiles(height, width, side, radius)
        self._has_coverage = coverage is not None
        self._coverage: List[ByLayer] = [
            {} if coverage is None else self._pooled(tile.read(np.moveaxis(coverage, 0, -1))) for tile in self._tiles
        ]
        self._targets: ByLayer = self._style_targets(regions)
        extract = self._graph(self.network.features, RGB, layers=self._content_layers)
        self._contents: List[ByLayer] = [extract(tf.constant(tile.read(content))) for tile in self._tiles]
        self._content_scale = self._content_scales(height, width)

    def _style_targets(self, regions: Sequence[Sequence[Tuple[float, FloatRgb]]]) -> ByLayer:
        """``{layer: StyleTarget}``: each region's styles blended by their weights."""
        extract = self._graph(self.network.features, RGB, layers=self._style_layers)
        sums_of: Dict[int, ByLayer] = {}  # by the style's identity: several regions may use the same style
        for _, rgb in (pair for styles in regions for pair in styles):
            if id(rgb) not in sums_of:
                features = extract(tf.constant(rgb))
                sums_of[id(rgb)] = {layer: feature_sums(values) for layer, values in features.items()}
        means = {}
        for layer in self._style_layers:
            rows = tf.stack([self._blended(styles, sums_of, layer) for styles in regions])
            channels = self.network.channels[layer]
            products = tf.reshape(rows[:, channels:], (-1, channels, channels))
            means[layer] = FeatureSums(tf.ones(len(regions)), rows[:, :channels], products)
        result: ByLayer = self._graph(self._targets_of, self._specs(self._style_layers)[3])(means)
        return result

    def _blended(self, styles: Sequence[Tuple[float, FloatRgb]], sums_of: Mapping[int, ByLayer], layer: str) -> Tensor:
        """The weighted mean of the styles' mean features and products, in one vector."""
        blended = 0
        for weight, rgb in styles:
            sums = sums_of[id(rgb)][layer]
            values = tf.concat([tf.reshape(part, (-1,)) / sums.count for part in (sums.total, sums.product)], 0)
            blended += np.float32(weight / sum(weight for weight, _ in styles)) * values
        return blended

    def _targets_of(self, sums: ByLayer) -> ByLayer:
        squared_norm: Callable[..., Any] = lambda x, axes: tf.reduce_sum(tf.square(x), axes) + EPSILON
        style_loss = self._options.style_loss
        targets = {}
        for layer, layer_sums in sums.items():
            mean, gram, covariance = _statistics(layer_sums)
            root = covariance
            if style_loss == "w2":
                values, vectors = tf.linalg.eigh(covariance)
                root = tf.matmul(vectors * tf.sqrt(tf.maximum(values, 0.0))[:, None, :], vectors, transpose_b=True)
            if not self._options.relative:
                mean_scale = scale = tf.ones_like(layer_sums.count)
            elif style_loss == "gram":
                mean_scale = scale = squared_norm(gram, (1, 2))
            elif style_loss == "covariance":
                mean_scale, scale = squared_norm(mean, 1), squared_norm(covariance, (1, 2))
            else:
                mean_scale = scale = squared_norm(mean, 1) + tf.linalg.trace(covariance)
            targets[layer] = StyleTarget(mean, gram, covariance, root, mean_scale, scale)
        return targets

    def _pooled(self, coverage: NDArray[np.float32]) -> ByLayer:
        """The ``coverage [h, w, r]`` of every style layer's positions."""
        return {
            layer: tf.nn.avg_pool2d(coverage[None], stride_of(layer), stride_of(layer), "VALID")[0]
            for layer in self._style_layers
        }

    def _content_scales(self, height: int, width: int) -> ByLayer:
        """By how much each content layer's sum of squared differences is divided to give its part of the loss."""
        scales = {}
        for layer, weight in self._options.content_layers.items():
            stride = stride_of(layer)
            variance = 1.0
            if self._options.relative:
                total = square = count = 0.0
                for features, tile in zip(self._contents, self._tiles):
                    values = tf.cast(tile.core(features[layer], stride), tf.float32)
                    total += tf.reduce_sum(values, (0, 1))
                    square += tf.reduce_sum(tf.square(values), (0, 1))
                    count += float(values.shape[0] * values.shape[1])
                mean_square = tf.reduce_mean(square / count)
                variance = tf.reduce_mean(square / count - tf.square(total / count))
                variance = tf.maximum(variance, MIN_CONTENT_VARIATION * mean_square) + EPSILON
            count = (height // stride) * (width // stride) * self.network.channels[layer]
            weight *= self._options.content_weight
            scales[layer] = tf.constant(np.float32(variance * count / weight if weight else np.inf))
        return scales

    # --- the loss of a picture --------------------------------------------------------------

    def __call__(self, x: FloatRgb) -> Evaluation:
        """The loss of ``x``, float32 ``[h, w, 3]``, its gradient, and its weighted parts: content, style, tv."""
        given = tf.constant(x)
        features, scales, targets, _, coverage = self._specs(self._style_layers)
        if len(self._tiles) == 1:
            evaluate = self._graph(
                self._evaluate_whole,
                RGB,
                features,
                scales,
                targets,
                *[coverage] * self._has_coverage,
                layers=self._style_layers,
            )
            content, style, gradient = evaluate(
                given, self._contents[0], self._content_scale, self._targets, *self._coverage_of(0)
            )
            gradient = gradient.numpy()
        else:
            content, style, gradient = self._evaluate_tiles(x)
        tv, tv_gradient = self._graph(self._tv_and_gradient, RGB)(given)
        parts = {"content": float(content), "style": float(style), "tv": float(tv)}
        return Evaluation(sum(parts.values()), gradient + tv_gradient.numpy(), parts)

    def style_by_layer(self, x: FloatRgb) -> Dict[str, float]:
        """``{layer: its weighted part of the loss}`` of the style layers."""
        _, _, targets, sums, _ = self._specs(self._style_layers)
        distances = self._graph(self._distances, sums, targets)(self._sums(x), self._targets)
        return {layer: float(value) for layer, value in distances.items()}

    def drop_negligible_layers(self, x: FloatRgb, fraction: float) -> List[str]:
        """Ignore the deepest style layers from now on if each holds less than ``fraction`` of the style loss at ``x``.

        The deepest layers cost most, and with weights such as those of the preset ``seed`` they hold a millionth.

        Returns:
            The layers' names.
        """
        parts = self.style_by_layer(x)
        kept = [layer for layer in self._style_layers if parts[layer] >= fraction * sum(parts.values())]
        deepest = max(map(self.network.depth, kept or self._style_layers))
        dropped = [layer for layer in self._style_layers if self.network.depth(layer) > deepest]
        self._style_layers = tuple(layer for layer in self._style_layers if layer not in dropped)
        self._targets = {layer: self._targets[layer] for layer in self._style_layers}
        self._coverage = [
            {layer: coverage[layer] for layer in self._style_layers if layer in coverage} for coverage in self._coverage
        ]
        return dropped

    def _coverage_of(self, number: int) -> List[ByLayer]:
        """The regions' coverage of a tile as an argument, if there is a mask."""
        return [self._coverage[number]] if self._has_coverage else []

    def _sums(self, x: FloatRgb) -> Any:
        """``{layer: FeatureSums}`` of the whole picture."""
        coverage = self._specs(self._style_layers)[4]
        sum_tile = self._graph(self._sum_tile, RGB, TILE, *[coverage] * self._has_coverage, layers=self._style_layers)
        sums = None
        for number, tile in enumerate(self._tiles):
            part = sum_tile(tf.constant(tile.read(x)), _tensors(tile), *self._coverage_of(number))
            sums = part if sums is None else tf.nest.map_structure(tf.add, sums, part)
        return sums

    def _evaluate_tiles(self, x: FloatRgb) -> Tuple[float, Tensor, NDArray[np.float32]]:
        """Content loss, style loss and gradient, tile by tile: first the statistics of the whole picture, then, by
        the chain rule, each tile's part of the gradient."""
        features, scales, targets, sums, coverage = self._specs(self._style_layers)
        style, slopes = self._graph(self._style_of_sums, sums, targets)(self._sums(x), self._targets)
        evaluate = self._graph(
            self._evaluate_tile,
            RGB,
            TILE,
            features,
            scales,
            sums,
            *[coverage] * self._has_coverage,
            layers=self._style_layers,
        )
        content, gradient = 0.0, np.zeros_like(x)
        for number, tile in enumerate(self._tiles):
            tile_content, tile_gradient = evaluate(
                tf.constant(tile.read(x)),
                _tensors(tile),
                self._contents[number],
                self._content_scale,
                slopes,
                *self._coverage_of(number),
            )
            tile.read(gradient)[...] += tile_gradient.numpy()
            content += float(tile_content)
        return content, style, gradient

    # --- graphs -----------------------------------------------------------------------------

    def _evaluate_whole(
        self,
        x: Tensor,
        contents: ByLayer,
        content_scale: ByLayer,
        targets: ByLayer,
        coverage: Optional[ByLayer] = None,
        layers: Tuple[str, ...] = (),
    ) -> Tuple[Tensor, Tensor, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            features = self.network.features(x, layers + self._content_layers)
            content = self._content_loss(features, contents, content_scale)
            sums = {layer: feature_sums(features[layer], coverage and coverage[layer]) for layer in layers}
            style = self._style_loss(sums, targets)
            loss = content + style
        return content, style, tape.gradient(loss, x)

    def _sum_tile(
        self, x: Tensor, tile: Tile, coverage: Optional[ByLayer] = None, layers: Tuple[str, ...] = ()
    ) -> ByLayer:
        return self._core_sums(self.network.features(x, layers), tile, coverage, layers)

    def _core_sums(
        self, features: ByLayer, tile: Tile, coverage: Optional[ByLayer], layers: Tuple[str, ...]
    ) -> Dict[str, FeatureSums]:
        """The sums over the tile itself, without its margin."""
        return {
            layer: feature_sums(
                tile.core(features[layer], stride_of(layer)),
                None if coverage is None else tile.core(coverage[layer], stride_of(layer)),
            )
            for layer in layers
        }

    def _style_of_sums(self, sums: ByLayer, targets: ByLayer) -> Tuple[Tensor, Any]:
        with tf.GradientTape() as tape:
            tape.watch(sums)
            style = self._style_loss(sums, targets)
        return style, tape.gradient(style, sums, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def _evaluate_tile(
        self,
        x: Tensor,
        tile: Tile,
        contents: ByLayer,
        content_scale: ByLayer,
        slopes: ByLayer,
        coverage: Optional[ByLayer] = None,
        layers: Tuple[str, ...] = (),
    ) -> Tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            features = self.network.features(x, layers + self._content_layers)
            core: Callable[[ByLayer], ByLayer] = lambda values: {
                layer: tile.core(values[layer], stride_of(layer)) for layer in self._content_layers
            }
            loss = content = self._content_loss(core(features), core(contents), content_scale)
            for layer, sums in self._core_sums(features, tile, coverage, layers).items():
                loss += tf.reduce_sum(slopes[layer].total * sums.total)
                loss += tf.reduce_sum(slopes[layer].product * sums.product)
        return content, tape.gradient(loss, x)

    def _content_loss(self, features: ByLayer, contents: ByLayer, content_scale: ByLayer) -> Tensor:
        exact: Callable[[Tensor], Tensor] = lambda values: tf.cast(values, tf.float32)
        return sum(
            tf.reduce_sum(tf.square(exact(features[layer]) - exact(contents[layer]))) / content_scale[layer]
            for layer in self._content_layers
        )

    def _style_loss(self, sums: Any, targets: ByLayer) -> Tensor:
        return sum(self._distances(sums, targets).values())

    def _distances(self, sums: Any, targets: ByLayer) -> ByLayer:
        """``{layer: its weighted part of the loss}``."""
        parts = {}
        for layer in sums:
            mean, gram, covariance = _statistics(sums[layer])
            target = targets[layer]
            mean_distance = tf.reduce_sum(tf.square(mean - target.mean), 1)
            if self._options.style_loss == "gram":
                distance = tf.reduce_sum(tf.square(gram - target.gram), (1, 2)) / target.scale
            elif self._options.style_loss == "covariance":
                distance = (
                    tf.reduce_sum(tf.square(covariance - target.covariance), (1, 2)) / target.scale
                    + mean_distance / target.mean_scale
                )
            else:
                product = tf.matmul(target.root, tf.matmul(covariance, target.root))
                distance = (
                    mean_distance
                    + tf.linalg.trace(covariance)
                    + tf.linalg.trace(target.covariance)
                    - 2.0 * _trace_of_root(product)
                ) / target.scale
            # Each region counts in proportion to its size.
            fraction = sums[layer].count / (tf.reduce_sum(sums[layer].count) + EPSILON)
            weight = self._options.style_weight * self._options.style_layers[layer]
            parts[layer] = weight * tf.reduce_sum(tf.stop_gradient(fraction) * distance)
        return parts

    def _tv_and_gradient(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        if not self._options.tv_weight:
            return tf.constant(0.0), tf.zeros_like(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            # EPSILON, because a power below 1 has no slope at 0.
            squares = tf.square(x[:-1, :-1] - x[1:, :-1]) + tf.square(x[:-1, :-1] - x[:-1, 1:]) + EPSILON
            # squares^p, whose slope is p squares^(p - 1): a power costs more than all the rest here, so compute one.
            powers = squares * tf.stop_gradient(tf.pow(squares, self._options.tv_power - 1.0))
            tv = self._options.tv_weight * 3.0 * tf.reduce_mean(powers)
        return tv, self._options.tv_power * tape.gradient(tv, x)


def _tensors(tile: Tile) -> Tile:
    """``tile`` as an argument of a graph, which is then traced once for all tiles."""
    return Tile(*map(tf.constant, tile))
