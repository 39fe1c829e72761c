"""The official ImageNet weights of VGG16 and VGG19 (Simonyan & Zisserman 2014): download, verification, reading."""

import hashlib
import os
import urllib.error
import urllib.request
from typing import Any, Dict, Mapping, NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from ..errors import OptionError, WeightsError
from .shapes import ALL_CONVOLUTIONS, VGG_WIDTHS, encoder_layers

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
CHUNK = 2**18  # bytes
HTTP_TIMEOUT = 30.0  # seconds without a byte


class Source(NamedTuple):
    """A file to download and its checksum."""

    url: str
    size: int  # bytes
    algorithm: str
    digest: str


SOURCES = {
    "vgg16": Source(
        _KERAS + "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58889256,
        "sha256",
        "bfe5187d0a272bed55ba430631598124cff8e880b98d38c9e56c8d66032abdc1",
    ),
    # Keras publishes no other checksum for it.
    "vgg19": Source(
        _KERAS + "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80134624,
        "md5",
        "253f8cb515780f3b799900260a226db6",
    ),
}


def cache() -> str:
    """The folder of downloaded weights."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "ros_style_transfer")


def fetch(name: str, folder: Optional[str] = None, sources: Mapping[str, Source] = SOURCES) -> str:
    """Download the weights of ``name`` into ``folder`` (default: `cache`) with a progress bar; returns the path.

    A complete file is not downloaded again; an interrupted download is resumed.

    Raises:
        OptionError: the network is unknown.
        WeightsError: the server cannot be reached, or the file is not the expected one.
    """
    if name not in sources:
        raise OptionError("no download is known for %r; available: %s" % (name, ", ".join(sorted(sources))))
    source, folder = sources[name], folder or cache()
    path = os.path.join(folder, os.path.basename(source.url))
    part = path + ".part"
    try:
        if os.path.exists(path):
            _check(path, source)
            return path
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(part) or os.path.getsize(part) < source.size:
            _download(source, part, name)
            if os.path.getsize(part) < source.size:  # urllib reports no error if a connection is closed early
                raise WeightsError(
                    "the connection to %s was lost after %d of %d bytes; run the command again to resume"
                    % (source.url, os.path.getsize(part), source.size)
                )
        try:
            _check(part, source)
        except WeightsError:
            os.remove(part)  # resuming could not repair it
            raise
        os.replace(part, path)
    except urllib.error.URLError as error:
        raise WeightsError(
            "cannot download %s: %s; run the command again to resume" % (source.url, error.reason)
        ) from None
    except OSError as error:
        raise WeightsError("cannot download %s to %s: %s" % (source.url, folder, error)) from None
    return path


def _download(source: Source, part: str, name: str) -> None:
    """Download the missing rest of the file ``part``."""
    done = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(source.url, headers={"Range": "bytes=%d-" % done} if done else {})
    with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT) as answer:
        if done and answer.status != 206:  # the server sends the whole file
            done = 0
        with open(part, "ab" if done else "wb") as file, tqdm(
            desc=name, total=source.size, initial=done, unit="B", unit_scale=True
        ) as progress:
            for chunk in iter(lambda: answer.read(CHUNK), b""):
                file.write(chunk)
                progress.update(len(chunk))


def _check(path: str, source: Source) -> None:
    """Raise `WeightsError` unless the file has the checksum of ``source``."""
    digest = hashlib.new(source.algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != source.digest:
        raise WeightsError(
            "%s is damaged: %d bytes with %s %s instead of %d bytes with %s; remove it and download it again"
            % (path, os.path.getsize(path), source.algorithm.upper(), digest.hexdigest(), source.size, source.digest)
        )


def load(name: str, path: Optional[str] = None) -> Dict[str, np.ndarray]:
    """The weights of ``name``: ``{block1_conv1_kernel: [3, 3, in, out], block1_conv1_bias: [out], ...}``, float32.

    The network's input is BGR, 0..255, minus ImageNet's mean.

    Args:
        name: ``vgg16`` or ``vgg19``.
        path: a ``.h5`` file of Keras without the top layers, or a ``.npz`` file with the names above; None: the file
            that `fetch` has downloaded.

    Raises:
        WeightsError: the file is missing or damaged, or holds another network.
    """
    if path is None:
        path = os.path.join(cache(), os.path.basename(SOURCES[name].url))
        if not os.path.exists(path):
            raise WeightsError(
                "the weights of %s have not been downloaded; run `python -m ros_style_transfer weights fetch %s`, "
                "give a file with them, or use the network compact" % (name, name)
            )
        _check(path, SOURCES[name])
    try:
        arrays = _read_npz(path) if path.lower().endswith(".npz") else _read_h5(path)
    except Exception as error:  # the libraries raise many types for damaged files
        raise WeightsError("cannot read the weights %s: %s" % (path, error)) from None
    for layer, channels, width in encoder_layers(name, VGG_WIDTHS, ALL_CONVOLUTIONS):
        for part, shape in (("_kernel", (3, 3, channels, width)), ("_bias", (width,))):
            found: Any = arrays[layer + part].shape if layer + part in arrays else "nothing"
            if found != shape:
                raise WeightsError(
                    "%s does not hold %s: %s should have the shape %s, found %s"
                    % (path, name, layer + part, shape, found)
                )
    return arrays


def _read_npz(path: str) -> Dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key].astype(np.float32) for key in file.files}


def _read_h5(path: str) -> Dict[str, np.ndarray]:
    import h5py  # a dependency of TensorFlow

    arrays: Dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        for layer in file:

            def keep(_: str, item: Any, layer: str = layer) -> None:
                if isinstance(item, h5py.Dataset):
                    arrays[layer + ("_kernel" if item.ndim == 4 else "_bias")] = np.array(item, np.float32)

            file[layer].visititems(keep)
    return arrays
