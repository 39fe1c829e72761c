"""Styles and masks by name: the shipped styles, and those in folders of the user."""

from __future__ import annotations

import difflib
import logging
import os
from typing import TYPE_CHECKING, Container, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ..errors import StyleError
from . import images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "styles")
MASKS = "masks"  # the subfolder for masks, which are not styles
MAX_NAME = 4096  # characters, as long as a path may be

_LOGGER = logging.getLogger(__name__)


class StyleLibrary:
    """The pictures that may be used as styles and masks.

    A style's name is its file name without the extension.  Masks are in a subfolder ``masks``; their names may have the
    extension.  Links that lead out of the folders are ignored, and so are names that are not UTF-8, because no message
    can hold them.

    Args:
        folders: the user's folders, which are searched before the shipped styles, in this order.

    Raises:
        StyleError: a folder does not exist.
    """

    def __init__(self, folders: Sequence[str] = ()) -> None:
        folders = [os.path.expanduser(folder) for folder in folders]
        for folder in folders:
            if not os.path.isdir(folder):
                raise StyleError("style folder %r does not exist; create it or correct ~style_dirs" % folder)
        self.folders = [os.path.realpath(folder) for folder in [*folders, SHIPPED]]
        self._reported: Set[str] = set()

    def paths(self) -> Dict[str, str]:
        """``{name: path}`` of all styles, sorted by name; an earlier folder hides a later one.

        A folder that cannot be read, such as an unplugged disk, is logged and left out.
        """
        found = {}
        for folder in reversed(self.folders):
            for file in self._files(folder):
                name, extension = os.path.splitext(file)
                path = os.path.join(folder, file)
                if extension.lower() in images.EXTENSIONS and os.path.isfile(path) and self._is_inside(path):
                    found[name] = path
        return dict(sorted(found.items()))

    def find(self, style: str) -> str:
        """The path of ``style``: a name, or a path that lies in one of the folders.

        Raises:
            StyleError: unknown, or a path outside the folders (links are followed first).
        """
        paths = self.paths()
        if style in paths:
            return paths[style]
        path = self._path_inside(style, "style")
        if path is None:
            hint = suggestion(style, paths)
            raise StyleError("unknown style %r%s; known: %s" % (style, hint, ", ".join(paths)))
        return path

    def find_mask(self, mask: str) -> str:
        """The path of ``mask``: a name in a subfolder ``masks``, with or without its extension, the same in the folders
        themselves, or a path in one of them.

        Raises:
            StyleError: unknown, or a path outside the folders (links are followed first).
        """
        known: Dict[str, str] = {}
        for subfolder in (MASKS, ""):
            for folder in self.folders:
                for file in self._files(os.path.join(folder, subfolder)):
                    name, extension = os.path.splitext(file)
                    path = os.path.join(folder, subfolder, file)
                    if extension.lower() in images.EXTENSIONS and os.path.isfile(path) and self._is_inside(path):
                        if mask in (file, name):
                            return path
                        if subfolder:
                            known.setdefault(name, path)
        path_inside = self._path_inside(mask, "mask")
        if path_inside is None:
            hint = suggestion(mask, known)
            raise StyleError("unknown mask %r%s; known: %s" % (mask, hint, ", ".join(sorted(known)) or "none"))
        return path_inside

    def masks(self) -> List[str]:
        """The names of the masks in the subfolders ``masks``, sorted."""
        files = (os.path.splitext(file) for folder in self.folders for file in self._files(os.path.join(folder, MASKS)))
        return sorted({name for name, extension in files if extension.lower() in images.EXTENSIONS})

    def random(self, rng: np.random.Generator) -> str:
        """The name of a random style."""
        names = list(self.paths())
        return names[rng.integers(len(names))]

    def read(self, style: str) -> NDArray[np.uint8]:
        """The picture of ``style`` (see `find`), RGB uint8 ``[h,w,3]``."""
        return images.read(self.find(style))

    def read_mask(self, mask: str) -> NDArray[np.uint8]:
        """The labels of ``mask`` (see `find_mask`), uint8 ``[h,w]``, see `images.read_mask`."""
        return images.read_mask(self.find_mask(mask))

    def _files(self, folder: str) -> Iterator[str]:
        """The names of the files in ``folder``; each problem is logged once."""
        try:
            names = os.listdir(folder)
        except OSError as error:
            if os.path.basename(folder) != MASKS:
                self._report("cannot read the style folder %r: %s" % (folder, error.strerror))
            return
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError:
                self._report("ignoring the style %r in %r: its name is not UTF-8" % (name, folder))
            else:
                yield name

    def _report(self, message: str) -> None:
        if message not in self._reported:
            self._reported.add(message)
            _LOGGER.warning("%s", message)

    def _path_inside(self, name: str, kind: str) -> Optional[str]:
        """The real path of a file that ``name`` is the path of; None if it is not a path to one."""
        if len(name) > MAX_NAME:
            raise StyleError("the name of a %s has at most %d characters, not %d" % (kind, MAX_NAME, len(name)))
        path = os.path.realpath(os.path.expanduser(name.replace("\0", "?")))
        if os.sep not in name and not os.path.exists(path):
            return None
        if not self._is_inside(path):
            raise StyleError(
                "%s %r is outside the style folders (%s); copy it there or add its folder to ~style_dirs"
                % (kind, name, ", ".join(self.folders))
            )
        return path if os.path.isfile(path) else None

    def _is_inside(self, path: str) -> bool:
        """Whether ``path`` lies in one of the folders after links are followed."""
        path = os.path.realpath(path)
        return any(os.path.commonpath([path, folder]) == folder for folder in self.folders)


def suggestion(name: str, known: Iterable[str]) -> str:
    """``" (did you mean ...?)"`` with the most similar of the ``known`` names; empty if none is similar."""
    similar = difflib.get_close_matches(name[:100], list(known), 1)
    return " (did you mean %s?)" % similar[0] if similar else ""


def split_names(text: str, known: Container[str] = ()) -> Tuple[str, ...]:
    """The names in ``text``, which are joined by commas.

    Args:
        known: names that may contain commas themselves; the longest that fits counts.
    """
    parts, names = text.split(","), []
    while parts:
        count = next((n for n in range(len(parts), 1, -1) if ",".join(parts[:n]).strip() in known), 1)
        names.append(",".join(parts[:count]).strip())
        parts = parts[count:]
    return tuple(names)
