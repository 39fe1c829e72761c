"""The file from which an interrupted render is resumed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

import numpy as np

from ..errors import ImageError, OptionError
from .renderer import Progress

INTERVAL = 20.0  # seconds between checkpoints


class Checkpoint:
    """The file from which an interrupted render is resumed, next to the render's output.

    Args:
        path: of the file.
        inputs: everything that makes two renders different: options, arrays, and lists of arrays.
    """

    def __init__(self, path: str, *inputs: Any) -> None:
        self._path, self._written = path, time.monotonic()
        digest = hashlib.sha256()
        for value in inputs:
            for part in value if isinstance(value, list) else [value]:
                digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        self._digest = digest.hexdigest()

    def read(self) -> Progress:
        """The `renderer.Progress` to continue from.

        Raises:
            OptionError: there is no file, or it belongs to another render.
            ImageError: the file is damaged.
        """
        try:
            with np.load(self._path, allow_pickle=False) as file:
                numbers, x, curvature = json.loads(str(file["numbers"])), file["x"], file["curvature"]
        except FileNotFoundError:
            raise OptionError("there is nothing to resume: no %s" % self._path) from None
        except Exception as error:  # NumPy raises many kinds for a damaged file
            raise ImageError("cannot read %s: %s; remove it and start over" % (self._path, error)) from None
        if numbers.pop("digest") != self._digest:
            raise OptionError(
                "%s belongs to a render with other pictures or options; start over without --resume" % self._path
            )
        return Progress(**numbers, x=x, curvature=curvature if curvature.size else None)

    def write(self, progress: Progress, now: bool = False) -> None:
        """Write ``progress``, if the last checkpoint is older than `INTERVAL`, or ``now``."""
        if not now and time.monotonic() - self._written < INTERVAL:
            return
        self._written = time.monotonic()
        numbers = {key: value for key, value in progress._asdict().items() if key not in ("x", "curvature")}
        curvature = np.zeros(0) if progress.curvature is None else progress.curvature
        with open(self._path + ".new", "wb") as file:
            np.savez(file, x=progress.x, curvature=curvature, numbers=json.dumps(dict(numbers, digest=self._digest)))
        os.replace(self._path + ".new", self._path)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if os.path.exists(self._path):
            os.remove(self._path)
