"""A picture through a network: encode, transform the features to the style's statistics, decode.

Data flow of one round, the same for the cascade (five rounds of one level each) and the live models
(one round of all levels)::

    picture -> encode -> features -> statistics -> affine map (or style swap) -> decode -> picture
                                                        ^
    styles -> encode -> statistics, blended ------------+    one map for each region of a mask

A large picture is processed in tiles, in two passes: the first gathers the statistics of all tiles, the
second transforms and decodes every tile with the maps that follow from them (`tiled_round`).  Each tile
is read with the networks' receptive field as margin, so the result is the same as in one piece.
"""

import functools
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..controls import Controls
from ..media.images import to_float
from ..models.canvas import with_canvas
from ..models.layers import traced
from ..models.network import Network
from ..models.shapes import COLOR_FLOOR, DECODER_LEVEL, IMAGE_LEVEL
from . import style_swap, wct
from .regions import Region, Style
from .tiled_round import TiledRound, noise_planes
from .tiles import UNIT, Tile, merge, tiles
from .transforms import STATISTICS, VECTOR, Transforms, level_strength

NOISE = tf.TensorSpec((None, None, 1))


class TransferPipeline:
    """Stylizes pictures with ``network``.

    Args:
        ridge: of the whitening, the same as in the training; see `wct.RIDGE`.

    Attributes:
        precision: of the convolutions of a whole picture in one style.
        largest_margin: pixels that are read around a tile at most.
    """

    def __init__(self, network: Network, ridge: float = wct.RIDGE) -> None:
        self.network, self.ridge = network, ridge
        self.precision: str = network.dtype.name
        self.largest_margin = max(sum(network.receptive_radii((level,))) for level in network.levels) + UNIT
        self.transforms = Transforms(network.dtype, ridge)
        self._rounds: Dict[Tuple[Tuple[int, ...], str], Callable[..., Any]] = {}

    def encode_style(self, rgb: np.ndarray, swap_level: Optional[int] = None, tile_side: Optional[int] = None) -> Style:
        """The `Style` of a picture.

        Args:
            rgb: ``[h, w, 3]``, uint8, or float32 in 0..1; sides are multiples of 16 and at least 32.
            swap_level: the level whose features are kept for style swap; None: none.
            tile_side: None, or for style swap, which needs all features at once: the picture is one tile.
        """
        network, transforms = self.network, self.transforms
        if swap_level is not None:
            tile_side = None
        encoder_radius, decoder_radius = network.receptive_radii(network.style_levels)
        parts: Dict[int, List[Tuple[wct.Statistics, float]]] = {}

        def add(level: int, statistics: wct.Statistics, tile: Tile) -> None:
            parts.setdefault(level, []).append((statistics, tile.area))

        features: Mapping[int, tf.Tensor] = {}
        for tile in tiles(*rgb.shape[:2], tile_side, encoder_radius):
            features = network.encode(to_float(tile.read(rgb)), network.style_levels)
            for level, values in features.items():
                add(level, transforms.statistics(tile.core(values, network.stride(level)), level), tile)
            if IMAGE_LEVEL in network.style_levels:
                add(IMAGE_LEVEL, wct.color_statistics(to_float(tile.inner(rgb, 1))), tile)
        statistics = {level: merge(each) for level, each in parts.items()}
        swapped: Tuple[Tuple[float, tf.Tensor], ...] = ()
        if swap_level is not None:
            swapped = ((1.0, style_swap.whiten(features[swap_level], statistics[swap_level], self.ridge)),)
        if DECODER_LEVEL in network.style_levels:
            modulation, _ = network.modulation(
                {level: wct.mean_and_variance(statistics[level]) for level in network.modulation_levels}
            )
            stride = network.stride(DECODER_LEVEL)
            for tile in tiles(*rgb.shape[:2], tile_side, encoder_radius + decoder_radius):
                if not tile.is_all(rgb):  # else the features are those of the only tile above
                    features = network.encode(to_float(tile.read(rgb)), network.style_levels)
                values = tile.core(network.decode_features(features, modulation), stride)
                add(DECODER_LEVEL, transforms.statistics(values, DECODER_LEVEL), tile)
            statistics[DECODER_LEVEL] = merge(parts[DECODER_LEVEL])
        return Style(statistics, swapped)

    def stylize(
        self,
        rgb: np.ndarray,
        regions: Sequence[Region],
        controls: Controls,
        tile_side: Optional[int] = None,
        on_progress: Optional[Callable[[float], Any]] = None,
    ) -> np.ndarray:
        """``rgb`` stylized, float32 ``[h, w, 3]``, about 0..1, not clipped.

        Args:
            rgb: ``[h, w, 3]``, uint8, or float32 in 0..1; sides are multiples of 16 and at least 32.
            regions: their coverages sum to 1 at every pixel.
            controls: resolved.
            tile_side: side of the tiles without their margins; None: the picture in one piece.
            on_progress: called with the finished fraction of the work, 0..1, after each tile.
        """
        # A round without strength would only blur the picture.
        one_pass = [
            levels
            for levels in self.network.rounds(controls.levels or ())
            if any(level_strength(level, controls) for level in levels)
        ]
        rounds, picture = one_pass * controls.passes, rgb
        for number, levels in enumerate(rounds):
            if self.network.canvas_amplitude and number % len(one_pass) == 0:  # later rounds have a texture already
                # The decoder returns the canvas as well, so its opacity is the strength of the style.
                picture = with_canvas(picture, self.network.canvas_amplitude, level_strength(levels[0], controls))
            report = lambda done, before=number: on_progress and on_progress((before + done) / len(rounds))
            picture = self._stylize_round(picture, levels, regions, controls, tile_side, report)
        return picture if rounds else np.asarray(to_float(rgb))

    def _stylize_round(
        self,
        picture: np.ndarray,
        levels: Tuple[int, ...],
        regions: Sequence[Region],
        controls: Controls,
        tile_side: Optional[int],
        report: Callable[[float], Any],
    ) -> np.ndarray:
        """``picture`` encoded, transformed and decoded once."""
        style, coverage = regions[0]
        # One graph for the whole round pays off if a single round stylizes all levels.
        as_graph = self.network.modulation_levels and not controls.swap and controls.method != "whiten"
        if as_graph and tile_side is None and coverage is None and style is not None:
            return self._stylize_whole(picture, levels, style, controls)
        return TiledRound(self.network, self.transforms, picture, levels, regions, controls, tile_side, report).run()

    def _stylize_whole(
        self, picture: np.ndarray, levels: Tuple[int, ...], style: Style, controls: Controls
    ) -> np.ndarray:
        """One round of a whole picture in one style, in a single graph."""
        style_levels, method = self.network.style_levels, str(controls.method)
        if (levels, method) not in self._rounds:
            self._rounds[levels, method] = traced(
                functools.partial(self.round_graph, levels=levels, method=method),
                tf.TensorSpec((None, None, None)),
                VECTOR,
                *[STATISTICS] * len(style_levels),
                *[NOISE] * len(self.network.noise_levels),
            )
        result: np.ndarray = self._rounds[levels, method](
            to_float(picture),
            tf.constant([level_strength(level, controls) for level in levels], tf.float32),
            *(style.statistics[level] for level in style_levels),
            *noise_planes(self.network, picture).values(),
        ).numpy()
        return result

    def round_graph(
        self, rgb: tf.Tensor, strengths: tf.Tensor, *inputs: Any, levels: Sequence[int], method: str
    ) -> tf.Tensor:
        """One round in TensorFlow operations.

        Args:
            rgb: float32 ``[h, w, 3]``.
            strengths: ``[len(levels)]``.
            inputs: the style's `wct.Statistics` at the network's ``style_levels``, then the `noise.texture_noise` of
                its ``noise_levels``.
        """
        network = self.network
        styles = dict(zip(network.style_levels, inputs))
        strength = dict(zip(levels, tf.unstack(strengths, len(levels))))
        planes = inputs[len(network.style_levels) :]
        noise = {level: strength.get(level, 0.0) * plane for level, plane in zip(network.noise_levels, planes)}

        def plan(content: wct.Statistics, style_level: int, level: int) -> Any:
            return wct.plan_transform(content, styles[style_level], method, strength[level], self.ridge)

        features, moments = dict(network.encode(rgb, levels)), {}
        for level in features:
            content = wct.statistics(features[level])
            moments[level] = wct.mean_and_variance(content)
            if level in levels:
                affine, moments[level] = plan(content, level, level)
                features[level] = wct.apply(affine, features[level])
        modulation = network.modulation(moments)
        decoded = network.decode_features(features, modulation[0], noise)
        if DECODER_LEVEL in levels:
            affine, _ = plan(wct.statistics(decoded), DECODER_LEVEL, DECODER_LEVEL)
            decoded = wct.apply(affine, decoded)
        image = network.decode_image(decoded, modulation[1], noise)
        if DECODER_LEVEL in levels and IMAGE_LEVEL in network.style_levels:
            affine, _ = plan(wct.color_statistics(image, COLOR_FLOOR), IMAGE_LEVEL, DECODER_LEVEL)
            image = wct.apply_to_colors(affine, image)
        return network.unfold(image)

    def style_graph(self, rgb: tf.Tensor) -> Dict[int, wct.Statistics]:
        """The statistics of a style picture, float32 ``[h, w, 3]``, by level, in TensorFlow operations."""
        network = self.network
        features = network.encode(rgb, network.style_levels)
        statistics = {level: wct.statistics(values) for level, values in features.items()}
        if DECODER_LEVEL in network.style_levels:
            modulation, _ = network.modulation(
                {level: wct.mean_and_variance(statistics[level]) for level in network.modulation_levels}
            )
            statistics[DECODER_LEVEL] = wct.statistics(network.decode_features(features, modulation))
        if IMAGE_LEVEL in network.style_levels:
            statistics[IMAGE_LEVEL] = wct.color_statistics(rgb)
        return statistics
