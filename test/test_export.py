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
folder, given, strength, painted = sys.argv[1:]
model, given = tf.saved_model.load(folder), np.load(given)
style = model.signatures["style"](rgb=tf.constant(given["style"]))
rgb = model.signatures["paint"](rgb=tf.constant(given["content"]), strength=tf.constant(float(strength)), **style)
np.save(painted, rgb["painted"].numpy())
assert not any(name.startswith("ros_style") for name in sys.modules)
"""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_a_stranger_paints_the_same_picture(tmp_path, styles, model, strength):
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
            str(strength),
            str(tmp_path / "painted.npy"),
        ],
        check=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    painted = np.load(tmp_path / "painted.npy")
    stylizer = Stylizer(model, "float32")
    stylizer.set_style(style)
    expected = stylizer.stylize(content, Controls(strength=strength, style_scale=4.0))
    assert painted.shape == content.shape and painted.dtype == np.float32
    assert np.abs(255 * painted - expected).max() < 3 and np.abs(255 * painted - expected).mean() < 0.5


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OptionError, match="not empty"):
        export("lite", str(tmp_path))
    assert os.listdir(tmp_path) == ["mine.txt"]
