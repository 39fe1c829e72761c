"""Styles by name: those that we ship, and those in the folders that the user names."""

import os

from ..errors import StyleError
from . import images

SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "styles")


class StyleLibrary:
    """Pictures that may be used as styles.  Names are file names without their ending; links that
    lead out of the folders are left out.

    Args:
        folders: the user's folders, searched before the shipped styles, in this order.

    Raises:
        StyleError: a folder does not exist.
    """

    def __init__(self, folders=()):
        for folder in folders:
            if not os.path.isdir(folder):
                raise StyleError("style folder %r does not exist; make it or correct ~style_dirs" % folder)
        self.folders = [os.path.realpath(folder) for folder in [*folders, SHIPPED]]

    def paths(self):
        """``{name: path}`` of all styles, sorted by name; an earlier folder hides a later one."""
        found = {}
        for folder in reversed(self.folders):
            try:
                files = os.listdir(folder)
            except OSError as error:
                raise StyleError("cannot read the style folder %r: %s" % (folder, error.strerror)) from None
            for file in files:
                name, ending = os.path.splitext(file)
                path = os.path.join(folder, file)
                if ending.lower() in images.EXTENSIONS and os.path.isfile(path) and self._is_inside(path):
                    found[name] = path
        return dict(sorted(found.items()))

    def find(self, style):
        """The path of ``style``: a name, or a path that lies in one of the folders.

        Raises:
            StyleError: unknown, or a path outside the folders (links are followed first).
        """
        paths = self.paths()
        if style in paths:
            return paths[style]
        path = os.path.realpath(style.replace("\0", "?"))
        if os.sep in style or os.path.exists(path):
            if not self._is_inside(path):
                raise StyleError(
                    "style %r lies outside the style folders (%s); copy it there or add its "
                    "folder to ~style_dirs" % (style, ", ".join(self.folders))
                )
            if os.path.isfile(path):
                return path
        raise StyleError("unknown style %r; known: %s" % (style, ", ".join(paths)))

    def random(self, rng):
        """The name of any style.

        Args:
            rng: `numpy.random.Generator`.
        """
        names = list(self.paths())
        return names[rng.integers(len(names))]

    def _is_inside(self, path):
        """Whether ``path`` lies in one of the folders once links are followed."""
        path = os.path.realpath(path)
        return any(os.path.commonpath([path, folder]) == folder for folder in self.folders)

    def read(self, style):
        """The picture of ``style`` (see `find`), RGB uint8 ``[h,w,3]``."""
        return images.read(self.find(style))

    def read_mask(self, name):
        """The labels of the mask ``name``, which lies among the styles: uint8 ``[h,w]``, see `images.read_mask`."""
        try:
            return images.read_mask(self.find(name))
        except StyleError as error:  # it speaks of styles
            raise StyleError("mask: %s" % error) from None
