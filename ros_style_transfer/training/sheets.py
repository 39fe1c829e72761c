"""What to look at while a model trains: a sheet of pictures and the curves of the losses."""
import csv

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


def draw_curves(log, path, every):
    """Every column of the CSV ``log`` against the step, small multiples."""
    with open(log, newline="") as file:
        # Keras adds columns for a validation that there is none of.
        rows = [{key: float(value) for key, value in row.items() if value != "NA"} for row in csv.DictReader(file)]
    steps = [(row["epoch"] + 1) * every for row in rows]
    groups = list(dict.fromkeys(key.rstrip("12345") for key in rows[0] if key != "epoch"))
    figure, axes = plt.subplots(1, len(groups), figsize=(4 * len(groups), 3.2))
    for axis, group in zip(axes, groups):
        for key in (key for key in rows[0] if key.rstrip("12345") == group):
            axis.plot(steps, [row[key] for row in rows], label=key)
        axis.set_title(group)
        axis.set_xlabel("step")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
