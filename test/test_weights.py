"""The weights that we ship, and what is done with files that are not they."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ros_style_transfer.errors import WeightsError
from ros_style_transfer.models import weights


def enter(folder, data, name="cascade", **changes):
    """Write ``data`` as a model's file with a manifest that vouches for it."""
    entry = {"file": name + ".npz", "sha256": hashlib.sha256(data).hexdigest()}
    (folder / (name + ".npz")).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps({name: dict(entry, **changes)}))
    return str(folder)


@pytest.fixture
def copy(tmp_path):
    """A copy of the weights' folder."""
    return shutil.copytree(weights.folder(), str(tmp_path / "weights"))


def test_shipped_files_match_the_manifest_and_are_small(repository):
    folder = os.path.join(repository, "weights")
    assert os.path.samefile(weights.folder(), folder)
    with open(os.path.join(folder, "manifest.json")) as file:
        manifest = json.load(file)
    assert "cascade" in manifest
    files = [name for name in os.listdir(folder) if name.endswith(".npz")]
    assert sorted(files) == sorted(entry["file"] for entry in manifest.values())
    for entry in manifest.values():
        with open(os.path.join(folder, entry["file"]), "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == entry["sha256"]
    assert sum(os.path.getsize(os.path.join(folder, name)) for name in files) < 12e6


def test_shipped_weights_are_finite_float32():
    arrays, entry = weights.load("cascade")
    assert entry["backbone"] == "vgg16" and len(entry["widths"]) == 5
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values())


def test_one_flipped_bit_is_refused_by_name(copy):
    path = os.path.join(copy, "cascade.npz")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(WeightsError, match="damaged") as error:
        weights.load("cascade", copy)
    assert path in str(error.value)


def test_truncated_weights_are_refused_by_name(copy):
    path = os.path.join(copy, "cascade.npz")
    with open(path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(WeightsError, match="cascade.npz"):
        weights.load("cascade", copy)


def test_missing_file_is_named(copy):
    os.remove(os.path.join(copy, "cascade.npz"))
    with pytest.raises(WeightsError, match="cascade.npz.*No such file"):
        weights.load("cascade", copy)


def test_unknown_model_is_named_with_the_known_ones():
    with pytest.raises(WeightsError, match="'gatys'.*known: .*cascade"):
        weights.load("gatys")


@pytest.mark.parametrize("text", [None, "{ no json"])
def test_missing_or_broken_manifest_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(WeightsError) as error:
        weights.load("cascade", str(tmp_path))
    assert str(tmp_path / "manifest.json") in str(error.value)


class Payload:
    """Unpickling this makes a folder: what a pickle from a stranger could do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("container", ["npz", "bare pickle"])
def test_pickles_are_refused_unopened_even_where_the_manifest_vouches(tmp_path, container):
    victim = str(tmp_path / "unpickled")
    array = np.array([Payload(victim)], dtype=object)
    buffer = io.BytesIO()
    if container == "npz":
        np.savez(buffer, encoder_block1_conv1_kernel=array)
    else:
        buffer.write(array.dumps())
    with pytest.raises(WeightsError, match="cascade.npz"):
        weights.load("cascade", enter(tmp_path, buffer.getvalue()))
    assert not os.path.exists(victim)


def test_saved_weights_are_loaded_again_to_float16_precision(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"kernel": rng.normal(size=(3, 3, 4, 5)).astype(np.float32), "bias": np.zeros(5, np.float32)}
    path = str(tmp_path / "made" / "here")
    weights.save("first", arrays, path, backbone="vgg16", widths=[1, 2])
    weights.save("second", {"bias": np.ones(2)}, path)
    loaded, entry = weights.load("first", path)
    assert entry["backbone"] == "vgg16" and entry["widths"] == [1, 2]
    assert sorted(loaded) == ["bias", "kernel"]
    assert loaded["kernel"].dtype == np.float32
    assert np.abs(loaded["kernel"] / arrays["kernel"] - 1).max() <= 2.0**-11  # half of float16's step
    assert np.array_equal(weights.load("second", path)[0]["bias"], [1, 1])


def test_same_weights_make_the_same_file(tmp_path):
    arrays = {"a": np.arange(6.0), "b": np.ones(3)}
    for name in ("one", "two"):
        weights.save("model", arrays, str(tmp_path / name))
    assert weights.manifest(str(tmp_path / "one")) == weights.manifest(str(tmp_path / "two"))


@pytest.mark.slow
def test_installed_package_finds_its_weights(repository, tmp_path):
    """catkin's install space: the package in lib/python3/dist-packages, weights under share."""
    packages = tmp_path / "install" / "lib" / "python3" / "dist-packages"
    share = tmp_path / "install" / "share" / "ros_style_transfer"
    shutil.copytree(
        os.path.join(repository, "ros_style_transfer"),
        str(packages / "ros_style_transfer"),
        ignore=shutil.ignore_patterns("__pycache__", "*.jpg"),
    )
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ros_style_transfer.models import weights\n"
        "print(weights.__file__); print(weights.folder()); print(len(weights.load('cascade')[0]))"
    )

    def load():
        return subprocess.run(
            [sys.executable, "-c", program, str(packages)],
            cwd=str(tmp_path),
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            capture_output=True,
            text=True,
        )

    without = load()
    assert without.returncode != 0 and "manifest.json" in without.stderr.splitlines()[-1]
    shutil.copytree(os.path.join(repository, "weights"), str(share / "weights"))
    whole = load()
    assert whole.returncode == 0, whole.stderr
    module, folder, count = whole.stdout.split()
    assert os.path.samefile(os.path.dirname(module), str(packages / "ros_style_transfer" / "models"))
    assert os.path.samefile(folder, str(share / "weights"))
    assert int(count) == len(weights.load("cascade")[0])
