"""One round over a picture in tiles or in several regions; see `pipeline` for the data flow."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
import tensorflow as tf

from ..controls import Controls
from ..media.images import to_float
from ..models.network import Network
from ..models.noise import texture_noise
from ..models.shapes import DECODER_LEVEL, IMAGE_LEVEL
from . import style_swap, wct
from .regions import Region
from .tiles import UNIT, Tile, merge, tiles
from .transforms import Transforms, level_strength

# A region with fewer positions than this at a level takes the statistics of the whole picture there.
MIN_REGION_POSITIONS = 64

Stage = Callable[[Tile], Mapping[int, tf.Tensor]]


class RegionTransform(NamedTuple):
    """The transform of one region's features at one level.

    Attributes:
        coverage: float32 ``[h, w]`` at the level's resolution; None: the region is the whole picture.
        apply: features to features; None: they are not changed.
        moments: mean and variance ``[c]`` of the features after it.
    """

    coverage: Optional[np.ndarray]
    apply: Optional[Callable[[tf.Tensor], tf.Tensor]]
    moments: Tuple[tf.Tensor, tf.Tensor]


class TiledRound:
    """The stages of a round, one after another for all tiles.

    Between two stages the statistics of the whole picture's features are gathered from the tiles, and the
    transforms of the next stage are planned from them.  Each stage computes the tile's earlier stages
    again, unless the picture is a single tile, whose results are kept.

    Args:
        picture: ``[h, w, 3]``, uint8, or float32 in 0..1.
        levels: the levels to transform in this round.
        tile_side: None: the picture is one tile.
        on_progress: called with the finished fraction of the round, 0..1.
    """

    def __init__(
        self,
        network: Network,
        transforms: Transforms,
        picture: np.ndarray,
        levels: Sequence[int],
        regions: Sequence[Region],
        controls: Controls,
        tile_side: Optional[int],
        on_progress: Callable[[float], Any],
    ) -> None:
        self._network, self._transforms, self._picture = network, transforms, picture
        self._levels, self._regions, self._controls, self._on_progress = levels, regions, controls, on_progress
        height, width = picture.shape[:2]
        encoder_radius, decoder_radius = network.receptive_radii(levels)
        if controls.swap:
            decoder_radius += UNIT * int(controls.swap_patch)
        self._encoder_tiles = tiles(height, width, tile_side, encoder_radius)
        self._tiles = tiles(height, width, tile_side, encoder_radius + decoder_radius)
        self._region_transforms: Dict[int, List[RegionTransform]] = {}
        self._modulation: Any = ((), ())
        self._results: Dict[str, Any] = {}  # of the stages, if the picture is a single tile
        self._coverages: Dict[int, List[Optional[np.ndarray]]] = {}
        self._noise = {
            level: plane * self._noise_strength(level) for level, plane in noise_planes(network, picture).items()
        }
        # Stages after the encoder whose results are transformed.
        self._transforms_decoder = DECODER_LEVEL in levels and level_strength(DECODER_LEVEL, controls) > 0
        self._transforms_colors = (
            self._transforms_decoder and IMAGE_LEVEL in network.style_levels and controls.method != "whiten"
        )
        self._finished = 0  # tiles, of all stages

    def run(self) -> np.ndarray:
        """The stylized picture, float32 ``[h, w, 3]``."""
        self._plan_stage(self._encoder_tiles, self._encode)
        self._modulation = self._network.modulation(
            {level: pool_moments(self._region_transforms[level]) for level in self._network.modulation_levels}
        )
        if self._transforms_decoder:
            self._plan_stage(self._tiles, lambda tile: {DECODER_LEVEL: self._decode_features(tile)})
        if self._transforms_colors:
            self._plan_stage(self._tiles, lambda tile: {IMAGE_LEVEL: self._decode_image(tile)})
        if len(self._tiles) == 1:
            whole: np.ndarray = self._stylized(self._tiles[0]).numpy()
            self._report(self._tiles)
            return whole
        result: np.ndarray = np.empty(self._picture.shape[:2] + (3,), np.float32)
        for tile in self._tiles:
            tile.inner(result, 1)[:] = tile.core(self._stylized(tile).numpy(), 1)
            self._report(self._tiles)
        return result

    def _plan_stage(self, stage_tiles: Sequence[Tile], stage: Stage) -> None:
        """Gather the statistics of a stage's features from all tiles and plan the transforms of all regions."""
        gathered: Dict[int, Dict[Optional[int], List[Tuple[wct.Statistics, float]]]] = {}
        for tile in stage_tiles:
            for level, features in stage(tile).items():
                self._gather(gathered.setdefault(level, {}), tile, features, level)
            self._report(stage_tiles)
        for level, parts in gathered.items():
            contents = {key: merge(statistics) for key, statistics in parts.items()}
            coverages = self._coverages_at(level)
            self._region_transforms[level] = [
                self._plan_region(level, region, coverage, contents[_statistics_key(number, coverage)])
                for number, (region, coverage) in enumerate(zip(self._regions, coverages))
            ]

    def _gather(
        self,
        parts: Dict[Optional[int], List[Tuple[wct.Statistics, float]]],
        tile: Tile,
        features: tf.Tensor,
        level: int,
    ) -> None:
        """Add a tile's statistics at a level to ``parts``: lists of (statistics, weight) by `_statistics_key`."""
        stride, coverages = self._network.stride(level), self._coverages_at(level)
        features = tile.core(features, stride)
        for key in dict.fromkeys(_statistics_key(number, coverage) for number, coverage in enumerate(coverages)):
            weights = None if key is None else tile.inner(coverages[key], stride)
            if weights is not None and not weights.any():
                continue
            statistics = self._transforms.statistics(features, level, weights)
            parts.setdefault(key, []).append((statistics, tile.area if weights is None else float(weights.sum())))

    def _plan_region(
        self, level: int, region: Region, coverage: Optional[np.ndarray], content: wct.Statistics
    ) -> RegionTransform:
        """The transform of a region at a level; ``content`` are the statistics of its features there."""
        controls, transforms = self._controls, self._transforms
        style = None if region.style is None else region.style.statistics[level]
        if controls.method == "whiten":
            style = content
        if style is None or max(level, DECODER_LEVEL) not in self._levels:
            return RegionTransform(coverage, None, wct.mean_and_variance(content))
        strength = level_strength(level, controls)
        affine, moments = transforms.plan(content, style, str(controls.method), strength)
        if region.style is not None and controls.swap and level == controls.swap_level:
            patches, target = region.style.features, style
            # Colored patches have the style's statistics, so the moments are the same.
            return RegionTransform(
                coverage,
                lambda features: style_swap.transform(
                    features, content, patches, target, strength, controls, transforms.ridge
                ),
                moments,
            )
        return RegionTransform(coverage, lambda features: transforms.apply(affine, features, level), moments)

    def _noise_strength(self, level: int) -> Any:
        """The strength at which each position is stylized at a level: 0..1, a number or ``[h / s, w / s, 1]``."""
        if level not in self._levels or self._controls.method == "whiten":
            return 0.0
        coverages = [
            1.0 if coverage is None else coverage[..., None]
            for region, coverage in zip(self._regions, self._coverages_at(level))
            if region.style is not None
        ]
        return np.float32(level_strength(level, self._controls)) * sum(coverages, np.float32(0))

    def _coverages_at(self, level: int) -> List[Optional[np.ndarray]]:
        """The regions' coverages at the level's resolution."""
        stride = self._network.stride(level)
        if stride not in self._coverages:
            self._coverages[stride] = [
                None if region.coverage is None else _downsample(region.coverage, stride) for region in self._regions
            ]
        return self._coverages[stride]

    def _encode(self, tile: Tile) -> Mapping[int, tf.Tensor]:
        def compute() -> Mapping[int, tf.Tensor]:
            return self._network.encode(to_float(tile.read(self._picture)), self._levels)

        features: Mapping[int, tf.Tensor] = self._once("encode", compute)
        return features

    def _decode_features(self, tile: Tile) -> Any:
        def compute() -> Any:
            encoded = self._encode(tile).items()
            features = {level: self._transform(level, values, tile) for level, values in encoded}
            return self._network.decode_features(features, self._modulation[0], self._noise_of(tile))

        return self._once("decode_features", compute)

    def _decode_image(self, tile: Tile) -> tf.Tensor:
        def compute() -> tf.Tensor:
            features = self._decode_features(tile)
            if self._transforms_decoder:
                features = self._transform(DECODER_LEVEL, features, tile)
            return self._network.decode_image(features, self._modulation[1], self._noise_of(tile))

        return self._once("decode_image", compute)

    def _stylized(self, tile: Tile) -> tf.Tensor:
        image = self._decode_image(tile)
        return self._network.unfold(self._transform(IMAGE_LEVEL, image, tile) if self._transforms_colors else image)

    def _transform(self, level: int, features: tf.Tensor, tile: Tile) -> tf.Tensor:
        """The features of a tile at a level, each region's part transformed."""
        if level not in self._region_transforms:
            return features
        total: Any = 0.0
        for transform in self._region_transforms[level]:
            result = features if transform.apply is None else transform.apply(features)
            if transform.coverage is None:
                return result
            coverage = tile.outer(transform.coverage, self._network.stride(level))[..., None]
            total += tf.cast(coverage, features.dtype) * result
        return total

    def _noise_of(self, tile: Tile) -> Dict[int, np.ndarray]:
        return {level: tile.outer(plane, self._network.stride(level)) for level, plane in self._noise.items()}

    def _once(self, stage: str, compute: Callable[[], Any]) -> Any:
        """The result of a stage, which is kept if the picture is a single tile."""
        if len(self._encoder_tiles) > 1 or len(self._tiles) > 1:
            return compute()
        if stage not in self._results:
            self._results[stage] = compute()
        return self._results[stage]

    def _report(self, stage_tiles: Sequence[Tile]) -> None:
        self._finished += 1
        stages = 2 + self._transforms_decoder + self._transforms_colors
        self._on_progress(min(1.0, self._finished / (stages * len(stage_tiles))))


def noise_planes(network: Network, picture: np.ndarray) -> Dict[int, np.ndarray]:
    """``{level: [h / s, w / s, 1]}`` of the noise for a whole picture."""
    sides = picture.shape[:2]
    return {
        level: texture_noise(level, *(side // network.stride(level) for side in sides))
        for level in network.noise_levels
    }


def pool_moments(transforms: Sequence[RegionTransform]) -> Tuple[Any, Any]:
    """Mean and variance ``[c]`` of the whole picture's features, from those of its regions."""
    if len(transforms) == 1:
        return transforms[0].moments
    sums: np.ndarray = np.array([t.coverage.sum() for t in transforms if t.coverage is not None], np.float64)
    weights: np.ndarray = np.asarray(sums / sums.sum(), np.float32)
    mean = sum(weight * t.moments[0] for weight, t in zip(weights, transforms))
    square = sum(weight * (t.moments[1] + tf.square(t.moments[0])) for weight, t in zip(weights, transforms))
    return mean, tf.nn.relu(square - tf.square(mean))


def _statistics_key(number: int, coverage: Optional[np.ndarray]) -> Optional[int]:
    """Whose statistics a region uses: its own, by its number, or the whole picture's, None, if it is too small."""
    return None if coverage is None or coverage.sum() < MIN_REGION_POSITIONS else number


def _downsample(coverage: np.ndarray, stride: int) -> np.ndarray:
    """A coverage at a ``stride``-th of its sides, averaged over areas."""
    height, width = coverage.shape
    return cv2.resize(coverage, (width // stride, height // stride), interpolation=cv2.INTER_AREA)
