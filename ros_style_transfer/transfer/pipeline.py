"""Painting with any model: encode, give the features the style's statistics, decode, level by level.

Data flow of one round, the same for the cascade (five rounds of a level each) and the live model
(one round of all its levels)::

    picture -> encode -> features -> statistics -> affine map (or patches swapped) -> decode -> picture
                                                        ^
    styles -> encode -> statistics, blended ------------+    one map for each region of a mask

A large picture goes through in tiles, twice: first the statistics of all tiles are gathered, then
every tile is painted with the maps that follow from them.  Tiles are read with as much around them
as the networks see, so the picture is the same as in one piece (`tiles`).
"""

import functools
from typing import Callable, Mapping, NamedTuple, Optional, Tuple

import cv2
import numpy as np
import tensorflow as tf

from ..errors import OptionError
from ..models.canvas import ground
from ..models.layers import graph
from ..models.noise import texture_noise
from ..models.shapes import COLOR_FLOOR, DECODER_LEVEL, IMAGE_LEVEL
from . import wct
from .tiles import UNIT, merge, tiles

VECTOR = tf.TensorSpec((None,))
NOISE = tf.TensorSpec((None, None, 1))
STATISTICS = wct.Statistics(VECTOR, tf.TensorSpec((None, None)))
# A region with fewer positions than this at some level takes the whole picture's statistics there.
SMALLEST_REGION = 64
# Numbers that a swap's table of likenesses may have: 2 GB.
LARGEST_SWAP = 2**29


class Style(NamedTuple):
    """A style as the painter needs it.

    Attributes:
        statistics: ``{level: wct.Statistics}``.
        features: the whitened features at the swap's level, ``[h, w, c]`` float32, of each style in
            it, with the style's share; empty unless patches are swapped.
    """

    statistics: Mapping[int, wct.Statistics]
    features: Tuple[Tuple[float, tf.Tensor], ...] = ()


class Region(NamedTuple):
    """A part of the picture and its style.

    Attributes:
        style: `Style`, or None: this part stays as it is.
        share: float32 ``[h, w]``, 0..1, how much of each pixel is the region's; None: all of it.
    """

    style: Optional[Style]
    share: Optional[np.ndarray] = None


class Part(NamedTuple):
    """What happens to one region's features at one level.

    Attributes:
        share: float32 ``[h, w]`` at the level's resolution; None: all of it.
        transform: features to features; None: they stay.
        moments: mean and variance ``[c]`` of the features after it.
    """

    share: Optional[np.ndarray]
    transform: Optional[Callable]
    moments: Tuple[tf.Tensor, tf.Tensor]


def blend(styles, weights):
    """One `Style` out of several: their statistics' weighted mean, and what each swaps in by its share.

    Args:
        styles: `Style` each.
        weights: numbers, none negative, not all 0; only their proportion counts.
    """
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    if len(styles) == 1:
        return styles[0]
    blended = {
        level: wct.blend([style.statistics[level] for style in styles], shares.astype(np.float32))
        for level in styles[0].statistics
    }
    return Style(
        blended,
        tuple(
            (float(share) * part, features) for style, share in zip(styles, shares) for part, features in style.features
        ),
    )


class Painter:
    """Paints with ``network`` (`cascade.Cascade` or `live.Live`).

    Args:
        ridge: the whitening's, what the network was trained with; see `wct.RIDGE`.

    Attributes:
        dtype: what the convolutions of a whole picture in one style compute in, by name.
    """

    def __init__(self, network, ridge=wct.RIDGE):
        self.network, self.ridge, self.dtype = network, ridge, network.dtype.name
        # What is read around a tile at most.
        self.largest_margin = max(sum(network.reach((level,))) for level in network.levels) + UNIT
        self._maps, self._rounds = {}, {}
        features = tf.TensorSpec((None, None, None), network.dtype)
        # Small graphs for features of any size: nothing is traced anew for another camera or another control.
        self._statistics = graph(wct.statistics, features)
        self._statistics_within = graph(wct.statistics, features, tf.TensorSpec((None, None)))
        self._apply = graph(wct.apply, wct.AffineMap(VECTOR, STATISTICS.covariance, VECTOR), features)

    def style_of(self, rgb, swap_level=None, side=None):
        """The `Style` of a picture as `paint` takes it.

        Args:
            rgb: as `paint` takes it.
            swap_level: whose features are kept for swapping patches; None: none.
            side: of the tiles; None: the picture in one piece.
        """
        network, gathered, swapped = self.network, {}, ()
        # What is swapped in must be there in one piece.
        side = side if swap_level is None else None
        eye, hand = network.reach(network.style_levels)
        for tile in tiles(*rgb.shape[:2], side, eye):
            features = network.taps(floats(tile.read(rgb)))
            for level, values in features.items():
                self._gather(gathered.setdefault(level, {}), tile, values, [None], level)
            if IMAGE_LEVEL in network.style_levels:
                colors = color_statistics(floats(tile.inner(rgb, 1)))
                gathered.setdefault(IMAGE_LEVEL, {}).setdefault(None, []).append((colors, tile.area))
        statistics = {level: merge(found[None]) for level, found in gathered.items()}
        if swap_level is not None:
            swapped = ((1.0, _whiten(features[swap_level], statistics[swap_level], self.ridge)),)
        if DECODER_LEVEL in network.style_levels:
            found = {}
            modulation = network.modulation({n: wct.moments(statistics[n]) for n in network.modulation_levels})
            for tile in tiles(*rgb.shape[:2], side, eye + hand):
                features = features if tile.is_all(rgb) else network.taps(floats(tile.read(rgb)))
                self._gather(found, tile, network.decode_features(features, modulation[0]), [None], DECODER_LEVEL)
            statistics[DECODER_LEVEL] = merge(found[None])
        return Style(statistics, swapped)

    def paint(self, rgb, regions, controls, side=None, progress=None):
        """``rgb`` stylized, float32 ``[h, w, 3]``, about 0..1, unclipped.

        Args:
            rgb: ``[h, w, 3]``, uint8, or float32 in 0..1; sides are multiples of 16 and 32 at least.
            regions: `Region` each; their shares sum to 1 at every pixel.
            controls: `controls.Controls`, resolved.
            side: of the tiles, without what is read around them; None: the picture in one piece.
            progress: called with the share of the work that is done, 0..1, after each tile.
        """
        once = [
            levels
            for levels in self.network.rounds(controls.levels)
            if any(strength_of(level, controls) for level in levels)
        ]  # else the network would only blur
        rounds, picture = once * controls.passes, rgb
        for number, levels in enumerate(rounds):
            report = lambda done, before=number: progress and progress((before + done) / len(rounds))
            share = self.network.ground_share(strength_of(levels[0], controls), number % len(once))
            under = None if share is None else ground(picture, share)
            picture = self._round(picture, under, levels, regions, controls, side, report)
        return picture if rounds else np.asarray(floats(rgb))

    def _round(self, picture, under, levels, regions, controls, side, report):
        """``picture`` with the ground ``under`` it encoded, transformed and decoded once."""
        style, share = regions[0]
        # The cascade's five graphs would take longer to trace than they save in many frames.
        traced = self.network.modulation_levels and style is not None and share is None and not controls.swap
        if traced and side is None and controls.method != "whiten":
            return self._in_one_piece(picture, under, levels, style, controls)
        return _Round(self, picture, under, levels, regions, controls, side, report).run()

    def _in_one_piece(self, picture, under, levels, style, controls):
        """The same for a whole picture in one style, as one graph: no operation waits for Python."""
        known = self.network.style_levels
        if (levels, controls.method) not in self._rounds:
            self._rounds[levels, controls.method] = graph(
                functools.partial(self.graphed, levels=levels, method=controls.method),
                tf.TensorSpec((None, None, None)),
                VECTOR,
                *[STATISTICS] * len(known),
                *[NOISE] * len(self.network.noise_levels),
            )
        strengths = tf.constant([strength_of(level, controls) for level in levels], tf.float32)
        return self._rounds[levels, controls.method](
            self.network.laid(floats(picture), under),
            strengths,
            *(style.statistics[level] for level in known),
            *self._noise(picture).values(),
        ).numpy()

    def _noise(self, picture):
        """``{level: [h / stride, w / stride, 1]}`` of the noise under the whole picture."""
        sides = picture.shape[:2]
        return {
            level: texture_noise(level, *(side // self.network.stride(level) for side in sides))
            for level in self.network.noise_levels
        }

    def graphed(self, laid, strengths, *given, levels, method):
        """One round as operations of a graph.

        Args:
            laid: the picture on its ground, see the network's ``laid``.
            strengths: ``[len(levels)]``.
            given: `wct.Statistics` of each of the network's ``style_levels``, then the `noise.texture_noise` of each of
                its ``noise_levels``.
        """
        network = self.network
        styles = dict(zip(network.style_levels, given))
        strength = dict(zip(levels, tf.unstack(strengths, len(levels))))
        planes = given[len(network.style_levels) :]
        noise = {level: strength.get(level, 0.0) * plane for level, plane in zip(network.noise_levels, planes)}
        features, moments = dict(network.features(laid, levels)), {}
        for level in features:
            content = wct.statistics(features[level])
            moments[level] = wct.moments(content)
            if level in levels:
                affine, moments[level] = planned(content, styles[level], method, strength[level], self.ridge)
                features[level] = wct.apply(affine, features[level])
        modulation = network.modulation(moments)
        drawn = network.decode_features(features, modulation[0], noise)
        if DECODER_LEVEL in levels:
            affine, _ = planned(
                wct.statistics(drawn), styles[DECODER_LEVEL], method, strength[DECODER_LEVEL], self.ridge
            )
            drawn = wct.apply(affine, drawn)
        image = network.decode_image(drawn, modulation[1], noise)
        if DECODER_LEVEL in levels and IMAGE_LEVEL in network.style_levels:
            affine, _ = planned(
                color_statistics(image, COLOR_FLOOR), styles[IMAGE_LEVEL], method, strength[DECODER_LEVEL], self.ridge
            )
            image = apply_colors(affine, image)
        return network.unfold(image)

    def graphed_style(self, rgb):
        """`style_of` as operations of a graph: ``{level: wct.Statistics}`` of ``rgb [h, w, 3]``, float32."""
        network = self.network
        features = network.taps(rgb)
        statistics = {level: wct.statistics(values) for level, values in features.items()}
        if DECODER_LEVEL in network.style_levels:
            modulation = network.modulation({n: wct.moments(statistics[n]) for n in network.modulation_levels})
            statistics[DECODER_LEVEL] = wct.statistics(network.decode_features(features, modulation[0]))
        if IMAGE_LEVEL in network.style_levels:
            statistics[IMAGE_LEVEL] = color_statistics(rgb)
        return statistics

    def _gather(self, found, tile, features, shares, level):
        """Add a tile's statistics at one level to ``found``: ``{region's number, or None for the whole picture:
        [(statistics, weight), ...]}``."""
        stride = self.network.stride(level)
        features = tile.core(features, stride)
        for key in dict.fromkeys(_whose(number, share) for number, share in enumerate(shares)):
            share = None if key is None else tile.inner(shares[key], stride)
            if share is not None and not share.any():
                continue
            if level == IMAGE_LEVEL:
                statistics = color_statistics(features, COLOR_FLOOR, share)
            elif share is None:
                statistics = self._statistics(features)
            else:
                statistics = self._statistics_within(features, share)
            found.setdefault(key, []).append((statistics, tile.area if share is None else float(share.sum())))

    def _parts(self, level, gathered, regions, shares, levels, controls):
        """Every region's `Part` at a level; ``gathered`` as `_gather` leaves it."""
        contents = {key: merge(parts) for key, parts in gathered.items()}
        return [
            self._part(level, region, share, contents[_whose(number, share)], levels, controls)
            for number, (region, share) in enumerate(zip(regions, shares))
        ]

    def _part(self, level, region, share, content, levels, controls):
        """The `Part` of a region at a level; ``content`` are the statistics there."""
        style = None if region.style is None else region.style.statistics[level]
        strength = strength_of(level, controls)
        if controls.method == "whiten":
            style = content
        if style is None or max(level, DECODER_LEVEL) not in levels:
            return Part(share, None, wct.moments(content))
        if controls.method not in self._maps:
            # Traced once for each method that is used, whatever the number of channels.
            self._maps[controls.method] = graph(
                lambda c, s, a, method=controls.method: planned(c, s, method, a, self.ridge),
                STATISTICS,
                STATISTICS,
                tf.TensorSpec(()),
            )
        affine, moments = self._maps[controls.method](content, style, tf.constant(strength, tf.float32))
        if controls.swap and level == controls.swap_level:  # colored patches have the style's statistics, too
            return Part(
                share,
                lambda features: tf.cast(
                    _swapped(features, content, region.style.features, style, strength, controls, self.ridge),
                    features.dtype,
                ),
                moments,
            )
        apply = apply_colors if level == IMAGE_LEVEL else self._apply
        return Part(share, lambda features: apply(affine, features), moments)


class _Round:
    """One round of a picture in tiles or in several regions: the network's stages in turn, for every tile.

    Between two stages the statistics of the whole picture's features are gathered, and the maps that
    give them the styles' follow from these.  What a tile needs of the stages before is computed again,
    unless the picture is one tile.
    """

    def __init__(self, painter, picture, under, levels, regions, controls, side, report):
        self.painter, self.network, self.picture, self.under = painter, painter.network, picture, under
        self.levels, self.regions, self.controls, self.report = levels, regions, controls, report
        height, width = picture.shape[:2]
        eye, hand = self.network.reach(levels)
        hand += UNIT * controls.swap_patch if controls.swap else 0
        self.encoder_tiles = tiles(height, width, side, eye)
        self.tiles = tiles(height, width, side, eye + hand)
        self.parts, self.modulation, self.kept, self.done = {}, None, {}, 0
        self.noise = {level: plane * self._stylized(level) for level, plane in painter._noise(picture).items()}
        self.redraws = DECODER_LEVEL in levels and strength_of(DECODER_LEVEL, controls) > 0
        self.recolors = self.redraws and IMAGE_LEVEL in self.network.style_levels and controls.method != "whiten"

    def run(self):
        """The picture, float32 ``[h, w, 3]``."""
        self._plan(self.encoder_tiles, self._encode)
        self.modulation = self.network.modulation(
            {level: _together(self.parts[level]) for level in self.network.modulation_levels}
        )
        if self.redraws:
            self._plan(self.tiles, lambda tile: {DECODER_LEVEL: self._draw(tile)})
        if self.recolors:
            self._plan(self.tiles, lambda tile: {IMAGE_LEVEL: self._finish(tile)})
        if len(self.tiles) == 1:
            painted = self._image(self.tiles[0]).numpy()
            self.report(1.0)
            return painted
        painted = np.empty(self.picture.shape[:2] + (3,), np.float32)
        for tile in self.tiles:
            tile.inner(painted, 1)[:] = tile.core(self._image(tile).numpy(), 1)
            self._progress(self.tiles)
        return painted

    def _plan(self, plan, stage):
        """Gather the statistics of what ``stage`` gives for each tile, and make every region's `Part` from them."""
        gathered = {}
        for tile in plan:
            for level, values in stage(tile).items():
                self.painter._gather(gathered.setdefault(level, {}), tile, values, self._shares(level), level)
            self._progress(plan)
        for level, found in gathered.items():
            self.parts[level] = self.painter._parts(
                level, found, self.regions, self._shares(level), self.levels, self.controls
            )

    def _progress(self, plan):
        self.done += 1
        stages = 2 + self.redraws + self.recolors
        self.report(min(1.0, self.done / (stages * len(plan))))

    def _stylized(self, level):
        """How far each position is stylized at a level: 0..1, a number or ``[h / stride, w / stride, 1]``."""
        if level not in self.levels or self.controls.method == "whiten":
            return 0.0
        shares = [
            1.0 if share is None else share[..., None]
            for region, share in zip(self.regions, self._shares(level))
            if region.style is not None
        ]
        return np.float32(strength_of(level, self.controls)) * sum(shares, np.float32(0))

    def _noise_of(self, tile):
        return {level: tile.outer(plane, self.network.stride(level)) for level, plane in self.noise.items()}

    def _shares(self, level):
        if ("shares", level) not in self.kept:
            self.kept["shares", level] = [
                None if region.share is None else _shrink(region.share, self.network.stride(level))
                for region in self.regions
            ]
        return self.kept["shares", level]

    def _once(self, name, compute):
        """What ``compute`` gives, kept if the picture is one tile."""
        if len(self.encoder_tiles) > 1 or len(self.tiles) > 1:
            return compute()
        if name not in self.kept:
            self.kept[name] = compute()
        return self.kept[name]

    def _encode(self, tile):
        return self._once(
            "encode", lambda: self.network.encode(floats(tile.read(self.picture)), self.levels, tile.read(self.under))
        )

    def _transformed(self, level, values, tile):
        return _changed(values, self.parts[level], tile, self.network.stride(level)) if level in self.parts else values

    def _draw(self, tile):
        return self._once(
            "draw",
            lambda: self.network.decode_features(
                {level: self._transformed(level, values, tile) for level, values in self._encode(tile).items()},
                self.modulation[0],
                self._noise_of(tile),
            ),
        )

    def _finish(self, tile):
        drawn = lambda: self._draw(tile)
        return self._once(
            "finish",
            lambda: self.network.decode_image(
                self._transformed(DECODER_LEVEL, drawn(), tile) if self.redraws else drawn(),
                self.modulation[1],
                self._noise_of(tile),
            ),
        )

    def _image(self, tile):
        image = self._finish(tile)
        return self.network.unfold(self._transformed(IMAGE_LEVEL, image, tile) if self.recolors else image)


def planned(content, style, method, strength, ridge):
    affine = wct.affine_map(content, style, method, strength, ridge)
    return affine, wct.moved(content, affine)


def color_statistics(image, floor=0.0, weights=None):
    """The `wct.Statistics` of an image's colors, RGB or folded (``[h, w, 3 n]``).

    Args:
        weights: ``[h, w]``, how often each position counts; None: once.
        floor: added to the variances: a flat image's noise must not be blown up to a style's contrast.
    """
    count = image.shape[-1] // 3
    folded = wct.statistics(image, weights)
    # The moments of all colors from those of the folded pixels: one product of matrices instead of many thin ones.
    square = tf.reshape(folded.covariance + folded.mean[:, None] * folded.mean[None], (count, 3, count, 3))
    own = np.eye(count, dtype=np.float32)[:, None, :, None] / count  # each pixel with itself
    square = tf.reduce_sum(square * own, (0, 2))
    mean = tf.reduce_mean(tf.reshape(folded.mean, (-1, 3)), 0)
    return wct.Statistics(mean, square - mean[:, None] * mean[None] + floor * tf.eye(3))


def apply_colors(affine, image):
    """The colors of ``image [h, w, 3 n]`` through a `wct.AffineMap`."""
    flat = tf.matmul(tf.reshape(image, (-1, 3)) - affine.centre, affine.matrix) + affine.offset
    return tf.reshape(flat, tf.shape(image))


def _together(parts):
    """Mean and variance ``[c]`` of the features of all parts of a picture."""
    if len(parts) == 1:
        return parts[0].moments
    weights = np.array([part.share.sum() for part in parts], np.float64)
    weights = np.float32(weights / weights.sum())
    mean = sum(weight * part.moments[0] for weight, part in zip(weights, parts))
    square = sum(weight * (part.moments[1] + tf.square(part.moments[0])) for weight, part in zip(weights, parts))
    return mean, tf.nn.relu(square - tf.square(mean))


def _changed(features, parts, tile, stride):
    """One level's features of a tile with every region's statistics changed to its style's."""
    changed = 0.0
    for part in parts:
        result = features if part.transform is None else part.transform(features)
        if part.share is None:
            return result
        changed += tf.cast(tile.outer(part.share, stride)[..., None], features.dtype) * result
    return changed


def _whose(number, share):
    """Whose statistics the region with this ``share`` takes: its own, by its number, or None, the whole picture's."""
    return None if share is None or share.sum() < SMALLEST_REGION else number


def floats(rgb):
    """uint8 as float32 in 0..1, floats as they are."""
    return np.multiply(rgb, 1 / 255.0, dtype=np.float32) if rgb.dtype == np.uint8 else rgb


def strength_of(level, controls):
    """How far a level is painted, 0..1; the image's colors as far as the decoder's level."""
    return controls.strength * controls.level_strength.get(max(level, DECODER_LEVEL), 1.0)


def _swapped(features, content, style_features, target, strength, controls, ridge):
    """`wct.swap` between whitened features, blended and coloured (UST's order)."""
    flat = _whiten(features, content, ridge)
    mixed = (1.0 - controls.swap) * flat
    for share, style in style_features:
        _check_swap(features.shape, style.shape, controls)
        mixed += controls.swap * share * wct.swap(flat, style, controls.swap_patch, controls.swap_stride)
    coloured = tf.tensordot(mixed, wct.root(target.covariance, 0.5), 1) + target.mean
    return strength * coloured + (1.0 - strength) * tf.cast(features, tf.float32)


def _check_swap(shape, style_shape, controls):
    positions = shape[0] * shape[1]
    patches = np.prod([side // controls.swap_stride + 1 for side in style_shape[:2]])
    height, width = min((shape[:2], style_shape[:2]), key=min)
    if min(height, width) < controls.swap_patch:
        raise OptionError(
            "swap_patch %d is larger than the features at level %d, %dx%d; choose a smaller one, or a "
            "larger picture or style_scale" % (controls.swap_patch, controls.swap_level, width, height)
        )
    if positions * patches > LARGEST_SWAP:
        raise OptionError(
            "swapping %d patches at %d positions needs too much memory; choose a larger swap_stride, a "
            "smaller style_scale or a deeper swap_level" % (patches, positions)
        )


def _whiten(features, statistics, ridge):
    white = wct.root(statistics.covariance, -0.5, ridge)
    return tf.tensordot(tf.cast(features, tf.float32) - statistics.mean, white, 1)


def _shrink(share, stride):
    """A region's share of each position, at a ``stride``-th of the picture's sides, by area."""
    height, width = share.shape
    return cv2.resize(share, (width // stride, height // stride), interpolation=cv2.INTER_AREA)
