"""What is exported paints, in a program that knows nothing of this package, as the stylizer does."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import draw_scene

from ros_style_transfer.cli import main as cli
from ros_style_transfer.controls import MODELS, Controls
from ros_style_transfer.errors import OptionError
from ros_style_transfer.stylizer import Stylizer
from ros_style_transfer.transfer.export import export

STRANGER = """
import sys
import numpy as np
import tensorflow as tf
folder, given, painted, *strengths = sys.argv[1:]
model, given = tf.saved_model.load(folder), np.load(given)
style = model.signatures["style"](rgb=tf.constant(given["style"]))
content = tf.constant(given["content"])
paint = lambda strength: model.signatures["paint"](rgb=content, strength=tf.constant(strength), **style)
np.save(painted, [paint(float(strength))["painted"].numpy() for strength in strengths])
assert not any(name.startswith("ros_style") for name in sys.modules)
"""
STRENGTHS = 1.0, 0.4


@pytest.mark.parametrize("model", MODELS)
def test_a_stranger_paints_the_same_pictures(tmp_path, styles, model):
    folder = tmp_path / "exported"
    cli.main(["export", "--model", model, "-o", str(folder)])
    content, style = draw_scene(90, 70), styles["mosaic"][:96, :112]
    np.savez(tmp_path / "given.npz", content=np.float32(content) / 255, style=np.float32(style) / 255)
    subprocess.run(
        [
            sys.executable,
            "-c",
            STRANGER,
            str(folder),
            str(tmp_path / "given.npz"),
            str(tmp_path / "painted.npy"),
            *map(str, STRENGTHS),
        ],
        check=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    stylizer = Stylizer(model, "float32")
    stylizer.set_style(style)
    for strength, painted in zip(STRENGTHS, np.load(tmp_path / "painted.npy")):
        expected = stylizer.stylize(content, Controls(strength=strength, style_scale=4.0))
        assert painted.shape == content.shape and painted.dtype == np.float32
        assert np.abs(255 * painted - expected).max() < 3 and np.abs(255 * painted - expected).mean() < 0.5


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OptionError, match="not empty"):
        export("lite", str(tmp_path))
    assert os.listdir(tmp_path) == ["mine.txt"]
