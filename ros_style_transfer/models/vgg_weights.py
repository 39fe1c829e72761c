"""The official ImageNet weights of VGG16 and VGG19 (Simonyan & Zisserman 2014): fetched, checked, read."""

import hashlib
import os
import urllib.error
import urllib.request
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import OptionError, WeightsError
from .shapes import ALL_CONVOLUTIONS, VGG_WIDTHS, encoder_layers

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
CHUNK = 2**18  # bytes
PATIENCE = 30.0  # seconds without a byte


class Source(NamedTuple):
    """Where a file is fetched from and what tells that it is whole."""

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
    # Keras publishes no more than this of it.
    "vgg19": Source(
        _KERAS + "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80134624,
        "md5",
        "253f8cb515780f3b799900260a226db6",
    ),
}


def cache():
    """The folder that fetched weights are kept in."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "ros_style_transfer")


def fetch(name, folder=None, sources=SOURCES):
    """Fetch the weights of ``name`` into ``folder`` (default: `cache`), with progress; returns the path.

    What is there and whole is not fetched again; a fetch that was cut off goes on where it stopped.

    Raises:
        OptionError: no such network.
        WeightsError: the server cannot be reached, or what came is not the file.
    """
    if name not in sources:
        raise OptionError("there is nothing to fetch for %r; known: %s" % (name, ", ".join(sorted(sources))))
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
            if os.path.getsize(part) < source.size:  # a connection that was closed early is no error to urllib
                raise WeightsError(
                    "the connection to %s broke off after %d of %d bytes; what came is kept, try again"
                    % (source.url, os.path.getsize(part), source.size)
                )
        try:
            _check(part, source)
        except WeightsError:
            os.remove(part)  # to go on from it would never make it right
            raise
        os.replace(part, path)
    except urllib.error.URLError as error:
        raise WeightsError(
            "cannot fetch %s: %s; what came so far is kept, try again" % (source.url, error.reason)
        ) from None
    except OSError as error:
        raise WeightsError("cannot fetch %s to %s: %s" % (source.url, folder, error)) from None
    return path


def _download(source, part, name):
    """Append to ``part`` what it lacks."""
    done = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(source.url, headers={"Range": "bytes=%d-" % done} if done else {})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        if done and answer.status != 206:  # a server that starts over
            done = 0
        with open(part, "ab" if done else "wb") as file, tqdm(
            desc=name, total=source.size, initial=done, unit="B", unit_scale=True
        ) as progress:
            for chunk in iter(lambda: answer.read(CHUNK), b""):
                file.write(chunk)
                progress.update(len(chunk))


def _check(path, source):
    digest = hashlib.new(source.algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != source.digest:
        raise WeightsError(
            "%s is not what it should be: %d bytes with the %s %s instead of %d with %s; remove it and "
            "fetch it again"
            % (path, os.path.getsize(path), source.algorithm.upper(), digest.hexdigest(), source.size, source.digest)
        )


def load(name, path=None):
    """The weights of ``name``: ``{block1_conv1_kernel: [3,3,in,out], block1_conv1_bias: [out], ...}`` float32,
    for BGR 0..255 less ImageNet's mean.

    Args:
        name: ``vgg16`` or ``vgg19``.
        path: Keras' ``.h5`` without top, or a ``.npz`` with the names above; what `fetch` brought when None.

    Raises:
        WeightsError: missing, damaged, or not the weights of ``name``.
    """
    if path is None:
        path = os.path.join(cache(), os.path.basename(SOURCES[name].url))
        if not os.path.exists(path):
            raise WeightsError(
                "the weights of %s are not here: fetch them with `python -m ros_style_transfer weights "
                "fetch %s`, name a file of them, or render with the network compact" % (name, name)
            )
        _check(path, SOURCES[name])
    try:
        arrays = _read_npz(path) if path.lower().endswith(".npz") else _read_h5(path)
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise WeightsError("cannot read the weights %s: %s" % (path, error)) from None
    for layer, channels, width in encoder_layers(name, VGG_WIDTHS, ALL_CONVOLUTIONS):
        for part, shape in (("_kernel", (3, 3, channels, width)), ("_bias", (width,))):
            found = arrays[layer + part].shape if layer + part in arrays else "nothing"
            if found != shape:
                raise WeightsError(
                    "%s does not hold %s: %s should have the shape %s, found %s"
                    % (path, name, layer + part, shape, found)
                )
    return arrays


def _read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key].astype(np.float32) for key in file.files}


def _read_h5(path):
    import h5py  # comes with TensorFlow

    arrays = {}
    with h5py.File(path, "r") as file:
        for layer in file:

            def keep(_, item, layer=layer):
                if isinstance(item, h5py.Dataset):
                    arrays[layer + ("_kernel" if item.ndim == 4 else "_bias")] = np.array(item, np.float32)

            file[layer].visititems(keep)
    return arrays
