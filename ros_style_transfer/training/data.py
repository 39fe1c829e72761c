"""Pictures for training: crops of photographs, and paintings with the teacher's statistics."""
import os

import cv2
import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from ..architecture import LEVELS

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def list_pictures(folder, exclude=()):
    """The pictures in ``folder``, sorted, without those whose file name is in ``exclude``."""
    names = sorted(n for n in os.listdir(folder) if n.lower().endswith(EXTENSIONS) and n not in exclude)
    if not names:
        raise SystemExit("no pictures in %s (looked for %s)" % (folder, ", ".join(EXTENSIONS)))
    return [os.path.join(folder, n) for n in names]


def load_pictures(paths, longest):
    """uint8 RGB arrays, the longer side at most ``longest``; kept in memory, since disks are slow."""
    pictures = []
    for path in tqdm(paths, desc="reading pictures", unit="picture"):
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit("cannot read the picture %s" % path)
        scale = longest / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(image[:, :, ::-1]))
    return pictures


def random_crop(rng, picture, size, smallest=0.6):
    """A square crop of side ``size``, uint8, from a picture scaled at random (never up beyond need)."""
    height, width = picture.shape[:2]
    scale = max(size / min(height, width), rng.uniform(smallest, 1.0))
    h, w = max(size, round(height * scale)), max(size, round(width * scale))
    if (h, w) != (height, width):
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = picture[y : y + size, x : x + size]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def gram(features):
    """F'F/N for ``features [b,h,w,c]``: ``[b,c,c]`` (Gatys et al. 2015), in float32."""
    b, h, w, c = ops.shape(features)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32")
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (h * w)


class StyleBank:
    """Square crops of paintings with the teacher's Gram matrices, computed once."""

    def __init__(self, pictures, gram_of, size, variants, rng):
        self.crops = np.stack([
            random_crop(rng, picture, size, smallest=0.75) for picture in pictures for _ in range(variants)])
        self.grams = {level: [] for level in LEVELS}
        for crop in tqdm(self.crops, desc="paintings' statistics", unit="crop"):
            for level, matrix in gram_of(crop[None].astype(np.float32) / 255.0).items():
                self.grams[level].append(ops.convert_to_numpy(matrix)[0].astype(np.float16))
        self.grams = {level: np.stack(v) for level, v in self.grams.items()}


class Batches(keras.utils.PyDataset):
    """One epoch of random batches; batch ``n`` depends on ``seed`` (integers) and ``n`` alone, so a
    resumed run goes on with the pictures that it would have seen."""

    def __init__(self, photos, paintings, bank, batch, size, steps, seed, painting_share=0.2):
        super().__init__(workers=1, max_queue_size=4)
        self.photos, self.paintings, self.bank = photos, paintings, bank
        self.batch, self.size, self.steps, self.seed = batch, size, steps, seed
        self.painting_share = painting_share

    def __len__(self):
        return self.steps

    def __getitem__(self, n):
        rng = np.random.default_rng((*self.seed, n))
        crops = []
        for _ in range(self.batch):
            source = self.paintings if rng.random() < self.painting_share else self.photos
            crops.append(random_crop(rng, source[rng.integers(len(source))], self.size))
        inputs = {"content": np.stack(crops).astype(np.float32) / 255.0}
        if self.bank is not None:
            picks = rng.integers(0, len(self.bank.crops), self.batch)
            # Most often stopped at the first level, which loses most, and at the last, which is seen.
            inputs["depth"] = rng.choice(5, self.batch, p=(0.3, 0.2, 0.1, 0.1, 0.3)).astype(np.int32) + 1
            inputs["style"] = self.bank.crops[picks].astype(np.float32) / 255.0
            for level in LEVELS:
                inputs["gram%d" % level] = self.bank.grams[level][picks].astype(np.float32)
        return (inputs,)
