"""What to look at while a model trains: a sheet of pictures and the curves of the losses."""

import csv
import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

from ..media import images


def draw_sheet(trainer, content, style, path):
    """One row a picture, the trainer's own columns.

    Args:
        content, style: float32 RGB 0..1, ``[n,h,w,3]``, the same size.
    """
    columns = [ops.convert_to_numpy(ops.cast(column, "float32")) for column in trainer.sheet(content, style)]
    sheet = np.concatenate([np.concatenate(list(row), 1) for row in zip(*columns)], 0)
    images.write(path, np.uint8(np.clip(sheet, 0, 1) * 255 + 0.5))


def append_log(path, step, values):
    """Add a row of ``values`` by name to the CSV ``path``, which it begins if necessary."""
    new = not os.path.exists(path)
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *values])
        writer.writerow([step, *("%.6g" % value for value in values.values())])


def draw_curves(log, path):
    """Every column of the CSV ``log`` against the step, small multiples."""
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
