"""The progress of a training in pictures: a sample sheet and the curves of the losses."""

import csv
import os
from typing import Any, Mapping

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

from ..media import images


def draw_sheet(trainer: Any, content: np.ndarray, style: np.ndarray, path: str) -> None:
    """Write a sheet with one row per picture and the columns of `trainer.sheet`.

    Args:
        content, style: float32 RGB 0..1, ``[n, h, w, 3]``, of the same size.
    """
    columns = [ops.convert_to_numpy(ops.cast(column, "float32")) for column in trainer.sheet(content, style)]
    sheet = np.concatenate([np.concatenate(list(row), 1) for row in zip(*columns)], 0)
    images.write(path, np.uint8(np.clip(sheet, 0, 1) * 255 + 0.5))


def append_log(path: str, step: int, values: Mapping[str, float]) -> None:
    """Append a row of ``values`` to the CSV file ``path``, which is created if necessary."""
    new = not os.path.exists(path)
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *values])
        writer.writerow([step, *("%.6g" % value for value in values.values())])


def draw_curves(log: str, path: str) -> None:
    """Plot every column of the CSV file ``log`` over the steps."""
    with open(log, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    names = [key for key in rows[0] if key != "step"]
    groups = list(dict.fromkeys(name.rstrip("12345") for name in names))
    figure, axes = plt.subplots(1, len(groups), figsize=(4 * len(groups), 3.2), squeeze=False)
    for axis, group in zip(axes[0], groups):
        for name in (name for name in names if name.rstrip("12345") == group):
            axis.plot([row["step"] for row in rows], [row[name] for row in rows], label=name)
        axis.set_title(group)
        axis.set_xlabel("step")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
