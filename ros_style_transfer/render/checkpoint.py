"""The state from which an interrupted render is resumed."""

import hashlib
import json
import os
import time

import numpy as np

from ..errors import ImageError, OptionError
from .renderer import Progress

SAVING = 20.0  # seconds between states that a render can go on from
STATE = ".part.npz"  # after OUT


class State:
    """The state from which an interrupted render is resumed, in a file next to its output.

    Args:
        path: of the file.
        inputs: everything that makes another render of it.
    """

    def __init__(self, path, *inputs):
        self._path, self._saved = path, time.monotonic()
        digest = hashlib.sha256()
        for value in inputs:
            for part in value if isinstance(value, list) else [value]:
                digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        self._digest = digest.hexdigest()

    def read(self):
        """The `renderer.Progress` to go on from.

        Raises:
            OptionError: there is none, or it is of another render.
        """
        try:
            with np.load(self._path, allow_pickle=False) as file:
                numbers, x, curvature = json.loads(str(file["numbers"])), file["x"], file["curvature"]
        except FileNotFoundError:
            raise OptionError("there is nothing to resume: no %s" % self._path) from None
        except Exception as error:  # whatever a damaged file makes numpy raise
            raise ImageError("cannot read the state %s: %s; remove it and start over" % (self._path, error)) from None
        if numbers.pop("digest") != self._digest:
            raise OptionError(
                "%s is of a render with other pictures or options; start over without --resume" % self._path
            )
        return Progress(**numbers, x=x, curvature=curvature if curvature.size else None)

    def keep(self, progress, now=False):
        """Write ``progress``, if it is time or ``now``."""
        if not now and time.monotonic() - self._saved < SAVING:
            return
        self._saved = time.monotonic()
        numbers = {key: value for key, value in progress._asdict().items() if key not in ("x", "curvature")}
        curvature = np.zeros(0) if progress.curvature is None else progress.curvature
        with open(self._path + ".new", "wb") as file:
            np.savez(file, x=progress.x, curvature=curvature, numbers=json.dumps(dict(numbers, digest=self._digest)))
        os.replace(self._path + ".new", self._path)

    def forget(self):
        if os.path.exists(self._path):
            os.remove(self._path)
