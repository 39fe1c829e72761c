"""The shipped weights: each file is checked against the manifest before it is read, and nothing is unpickled."""

import hashlib
import io
import json
import os
import zipfile
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from ..errors import WeightsError

Arrays = Mapping[str, np.ndarray]  # weights by name, float32
Entry = Mapping[str, Any]  # a model's entry in the manifest

_HERE = os.path.dirname(os.path.abspath(__file__))
# Where the weights may be, relative to this module.
_FOLDERS = (
    os.path.join(_HERE, "..", "weights"),  # installed by pip: inside the package
    os.path.join(_HERE, "..", "..", "weights"),  # the source tree, which catkin's devel space refers to
    # catkin's install space, where the module is in lib/python3/dist-packages
    os.path.join(_HERE, "..", "..", "..", "..", "..", "share", "ros_style_transfer", "weights"),
)


def folder() -> str:
    """The folder that holds ``manifest.json`` and the weights.

    Raises:
        WeightsError: no folder has a manifest.
    """
    for path in _FOLDERS:
        if os.path.isfile(os.path.join(path, "manifest.json")):
            return os.path.normpath(path)
    raise WeightsError(
        "no manifest.json in %s; install the package again" % " or ".join(os.path.normpath(p) for p in _FOLDERS)
    )


def manifest(path: Optional[str] = None) -> Dict[str, Dict[str, Any]]:
    """The content of `manifest.json`: ``{model name: {"file", "sha256", "widths", "ridge", ...}}``.

    Args:
        path: the folder; None: the shipped weights.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    path = os.path.join(path or folder(), "manifest.json")
    try:
        with open(path) as file:
            entries: Dict[str, Dict[str, Any]] = json.load(file)
            return entries
    except (OSError, ValueError) as error:
        raise WeightsError("cannot read %s: %s" % (path, error)) from None


def load(model: str, path: Optional[str] = None) -> Tuple[Dict[str, np.ndarray], Dict[str, Any]]:
    """The weights of ``model``, ``{name: float32 array}``, and its entry in the manifest.

    Args:
        model: a name in the manifest, such as ``cascade``.
        path: a folder with a manifest; None: the shipped weights.

    Raises:
        WeightsError: the model is unknown, or its file is missing or damaged.
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
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise WeightsError(
            "the weights %s are damaged: SHA-256 %s, the manifest says %s; fetch the file again"
            % (name, digest, entry["sha256"])
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {key: file[key].astype(np.float32) for key in file.files}, entry
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError("cannot read the weights %s: %s" % (name, error)) from None


def save(model: str, arrays: Arrays, path: str, **facts: Any) -> None:
    """Write ``arrays`` as float16 to ``path/MODEL.npz`` and add them to the manifest there, with ``facts``."""
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
