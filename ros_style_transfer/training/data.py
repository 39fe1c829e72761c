"""Pictures for training: files, random crops, and precomputed targets of the losses."""

import csv
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Container, Dict, Iterable, Iterator, List, Mapping, Sequence, Set, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from ..transfer import colours
from .recipe import CONTENT_SCALES, DENOISED, RECOLORED, RENEWED, STYLE_SCALES

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# Limit of the memory for crops and their descriptions; the descriptions of other crops are computed again.
CACHE_BYTES = 4e9


def excluded(tables: Iterable[str]) -> Set[str]:
    """The file names in CSV files of content,style pairs, which are reserved for evaluation."""
    names: Set[str] = set()
    for table in tables:
        with open(table, newline="") as file:
            names |= {os.path.basename(value) for row in csv.DictReader(file) for value in row.values()}
    return names


def list_pictures(folders: Iterable[str], exclude: Container[str] = ()) -> List[str]:
    """The sorted paths of the pictures in ``folders`` without the file names in ``exclude``.

    Raises:
        SystemExit: a folder is missing or holds no picture.
    """
    paths = []
    for folder in folders:
        if not os.path.isdir(folder):
            raise SystemExit("no folder %s; give a folder of pictures" % folder)
        names = sorted(n for n in os.listdir(folder) if n.lower().endswith(EXTENSIONS))
        if not names:
            raise SystemExit("no pictures in %s (extensions: %s)" % (folder, ", ".join(EXTENSIONS)))
        paths += [os.path.join(folder, n) for n in names if n not in exclude]
    if not paths:
        raise SystemExit("every picture in %s is excluded" % ", ".join(folders))
    return paths


def load_pictures(paths: Iterable[str], longest: int) -> List[np.ndarray]:
    """uint8 RGB arrays whose longer side is at most ``longest`` pixels.

    Raises:
        SystemExit: a file is not a readable picture.
    """
    pictures = []
    for path in tqdm(paths, desc="reading pictures", unit="picture", leave=False, disable=None):
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit("cannot read the picture %s" % path)
        scale = longest / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(image[:, :, ::-1]))
    return pictures


def random_crop(
    rng: np.random.Generator, picture: np.ndarray, size: int, scales: Tuple[float, float] = (0.6, 1.0)
) -> np.ndarray:
    """A square crop with the side ``size``, uint8, of a randomly scaled picture, which is enlarged if too small."""
    height, width = picture.shape[:2]
    scale = max(size / min(height, width), rng.uniform(*scales))
    h, w = max(size, round(height * scale)), max(size, round(width * scale))
    if (h, w) != (height, width):
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = picture[y : y + size, x : x + size]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def content_crop(rng: np.random.Generator, photos: Sequence[np.ndarray], size: int) -> np.ndarray:
    """A random crop of a random photograph; a fraction `DENOISED` of them are denoised."""
    crop = random_crop(rng, photos[rng.integers(len(photos))], size, CONTENT_SCALES)
    if rng.random() < DENOISED:
        for _ in range(2):
            crop = cv2.bilateralFilter(crop, 7, 30, 3)
    return crop


def style_crop(
    rng: np.random.Generator, styles: Sequence[np.ndarray], palettes: Sequence[np.ndarray], size: int
) -> np.ndarray:
    """A random crop of a random style; a fraction `RECOLORED` of them get the mean and covariance of another picture's
    colors."""
    crop = random_crop(rng, styles[rng.integers(len(styles))], size, STYLE_SCALES)
    if rng.random() >= RECOLORED:
        return crop
    return colours.coral(crop, *colours.colour_statistics(palettes[rng.integers(len(palettes))]))


def random_crops(
    rng: np.random.Generator,
    photos: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    count: int,
    size: int,
    style_fraction: float = 0.2,
) -> np.ndarray:
    """``count`` crops of photographs and styles: float32 RGB 0..1 ``[count, size, size, 3]``."""
    crops = []
    for _ in range(count):
        source = styles if rng.random() < style_fraction else photos
        crops.append(random_crop(rng, source[rng.integers(len(source))], size))
    return np.stack(crops).astype(np.float32) / 255.0


class DescribedCrops:
    """Numbered random crops and their descriptions, the targets of the losses; crop n is always the same.

    A crop is described when it is first used, so the training starts immediately.

    Args:
        make: (rng) to a uint8 RGB crop ``[side, side, 3]``.
        count: the number of different crops at a time.
        describe: float32 RGB 0..1 ``[b, h, w, 3]`` to ``{name: [b, ...]}``, which is kept as float16.
        margin: pixels at each side of a crop that are not described.
        cache_bytes: limit of the memory for crops and descriptions.
    """

    def __init__(
        self,
        make: Callable[[np.random.Generator], np.ndarray],
        count: int,
        describe: Callable[[np.ndarray], Mapping[str, np.ndarray]],
        seed: Tuple[int, ...],
        margin: int = 0,
        cache_bytes: float = CACHE_BYTES,
    ) -> None:
        self.make, self.count, self.describe = make, count, describe
        self.seed, self.margin, self.cache_bytes = tuple(seed), margin, cache_bytes
        self._cache, self._cached_bytes = {}, 0

    def draw(self, rng: np.random.Generator, step: int, size: int, prefix: str) -> Dict[str, np.ndarray]:
        """A random batch of ``size`` crops for a step, in the form of `take`.

        It is drawn from ``count`` crops, of which `RENEWED` times ``size`` are new in every step.
        """
        first = int(step * size * RENEWED)
        for n in [n for n in self._cache if n < first]:
            _, facts = entry = self._cache.pop(n)
            self._cached_bytes -= entry[0].nbytes + sum(value.nbytes for value in facts.values())
        return self.take(rng.integers(first, first + self.count, size), prefix)

    def take(self, numbers: Iterable[int], prefix: str) -> Dict[str, np.ndarray]:
        """The crops ``PREFIX`` ``[b, side, side, 3]``, float32 0..1, and their descriptions ``PREFIX_name``."""
        numbers = [int(n) for n in numbers]
        entries = {n: self._cache[n] for n in numbers if n in self._cache}
        entries.update(self._describe([n for n in dict.fromkeys(numbers) if n not in entries]))
        batch = {prefix: np.stack([entries[n][0] for n in numbers]).astype(np.float32) / 255.0}
        for name in entries[numbers[0]][1]:
            batch["%s_%s" % (prefix, name)] = np.stack([entries[n][1][name] for n in numbers])
        return batch

    def _describe(self, numbers):
        if not numbers:
            return {}
        crops = [self.make(np.random.default_rng((*self.seed, n))) for n in numbers]
        inner = slice(self.margin, crops[0].shape[0] - self.margin)
        pixels = np.stack(crops)[:, inner, inner].astype(np.float32) / 255.0
        facts = {name: np.asarray(value).astype(np.float16) for name, value in self.describe(pixels).items()}
        entries = {}
        for k, n in enumerate(numbers):
            entries[n] = crops[k], {name: value[k].copy() for name, value in facts.items()}
            size = crops[k].nbytes + sum(value.nbytes for value in entries[n][1].values())
            if self._cached_bytes + size <= self.cache_bytes:
                self._cache[n] = entries[n]
                self._cached_bytes += size
        return entries


def prefetched(
    draw: Callable[[np.random.Generator, int], Dict[str, np.ndarray]], first: int, steps: int, seed: int
) -> Iterator[Dict[str, np.ndarray]]:
    """``steps`` random batches from number ``first``, each drawn while the previous one is used.

    Batch n depends only on ``seed`` and n, so a resumed training gets the same pictures as an uninterrupted one.

    Args:
        draw: (rng, number) to a batch, ``{name: array}``.
    """
    with ThreadPoolExecutor(1) as thread:
        following = lambda n: thread.submit(draw, np.random.default_rng((seed, first + n)), first + n)
        batch = following(0)
        for n in range(steps):
            ready, batch = batch.result(), following(n + 1) if n + 1 < steps else None
            yield ready
