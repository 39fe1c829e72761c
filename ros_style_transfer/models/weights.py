"""The weights that we ship: found, checked against their manifest, loaded.  Never unpickled."""

import hashlib
import io
import json
import os
import zipfile

import numpy as np

from ..errors import WeightsError

_HERE = os.path.dirname(os.path.abspath(__file__))
# Where the weights are, relative to this module.
_FOLDERS = (
    os.path.join(_HERE, "..", "weights"),  # installed by pip: inside the package
    os.path.join(_HERE, "..", "..", "weights"),  # the source tree, which catkin's devel space refers to
    # catkin's install space, where the module is in lib/python3/dist-packages
    os.path.join(_HERE, "..", "..", "..", "..", "..", "share", "ros_style_transfer", "weights"),
)


def folder():
    """The folder that holds ``manifest.json`` and the weights.

    Raises:
        WeightsError: it is in none of the places where it should be.
    """
    for path in _FOLDERS:
        if os.path.isfile(os.path.join(path, "manifest.json")):
            return os.path.normpath(path)
    raise WeightsError(
        "no weights/manifest.json in %s; is the package installed whole?"
        % " or ".join(os.path.normpath(p) for p in _FOLDERS)
    )


def manifest(path=None):
    """``{model name: {"file", "sha256", "backbone", "widths", ...}}`` as `manifest.json` says."""
    path = os.path.join(path or folder(), "manifest.json")
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise WeightsError("cannot read %s: %s" % (path, error)) from None


def load(model, path=None):
    """The weights of ``model``: ({name: float32 array}, its entry in the manifest).

    Args:
        model: a name in the manifest, such as ``cascade``.
        path: another folder with a manifest; the package's own when None.

    Raises:
        WeightsError: unknown, missing or damaged, by name.
    """
    path = path or folder()
    entries = manifest(path)
    if model not in entries:
        raise WeightsError("unknown model %r; known: %s" % (model, ", ".join(sorted(entries))))
    entry = entries[model]
    name = os.path.join(path, entry["file"])
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError as error:
        raise WeightsError("cannot read the weights of %r, %s: %s" % (model, name, error.strerror)) from None
    found = hashlib.sha256(data).hexdigest()
    if found != entry["sha256"]:
        raise WeightsError(
            "the weights %s are damaged: SHA-256 %s, the manifest says %s; fetch the file again"
            % (name, found, entry["sha256"])
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {key: file[key].astype(np.float32) for key in file.files}, entry
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError("cannot read the weights %s: %s" % (name, error)) from None


def save(model, arrays, path, **facts):
    """Write ``arrays`` as float16 to ``path/model.npz`` and enter it in the manifest with ``facts``."""
    os.makedirs(path, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{key: value.astype(np.float16) for key, value in sorted(arrays.items())})
    data = buffer.getvalue()
    with open(os.path.join(path, model + ".npz"), "wb") as file:
        file.write(data)
    entries = manifest(path) if os.path.exists(os.path.join(path, "manifest.json")) else {}
    entries[model] = dict(facts, file=model + ".npz", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    with open(os.path.join(path, "manifest.json"), "w") as file:
        json.dump(entries, file, indent=2, sort_keys=True)
        file.write("\n")
