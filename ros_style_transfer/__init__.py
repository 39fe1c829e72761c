"""Universal style transfer (Li et al. 2017) for camera frames, pictures and videos.

The public names below are imported when they are first used: importing the package alone imports
neither NumPy nor TensorFlow.

    Stylizer       stylizes pictures and frames with one of the networks
    Controls       what can be changed about it: strength, levels, method, ...
    StyleLibrary   style pictures by name
    Renderer       renders a picture by optimization (Gatys et al. 2015)
    RenderOptions  what can be changed about that
    render         the subpackage that these two come from
"""

import importlib
import logging

# The source tree holds the code, catkin's devel space the generated messages: both are one package.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
__version__ = "0.2.0"
__all__ = ["Controls", "RenderOptions", "Renderer", "StyleLibrary", "Stylizer", "render"]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # the program decides what becomes of messages

_MODULES = {
    "Controls": ".controls",
    "RenderOptions": ".render.options",
    "Renderer": ".render.renderer",
    "StyleLibrary": ".media.style_library",
    "Stylizer": ".stylizer",
}


def __getattr__(name):
    """Import a public name when it is first used (PEP 562)."""
    if name == "render":
        return importlib.import_module(".render", __name__)
    if name in _MODULES:
        value = getattr(importlib.import_module(_MODULES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def __dir__():
    return sorted({*globals(), *__all__})
