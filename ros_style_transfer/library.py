"""Styles by name: those that we ship, and those in the folders that the user names."""
import os

from . import images
from .errors import StyleError

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "styles")


class StyleLibrary:
    """Pictures that may be used as styles.  Names are file names without their ending.

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
            for file in os.listdir(folder):
                name, ending = os.path.splitext(file)
                if ending.lower() in images.EXTENSIONS:
                    found[name] = os.path.join(folder, file)
        return dict(sorted(found.items()))

    def find(self, style):
        """The path of ``style``: a name, or a path that lies in one of the folders.

        Raises:
            StyleError: unknown, or a path outside the folders (links are followed first).
        """
        paths = self.paths()
        if style in paths:
            return paths[style]
        path = os.path.realpath(style)
        if os.sep in style or os.path.exists(path):
            if not any(os.path.commonpath([path, folder]) == folder for folder in self.folders):
                raise StyleError("style %r lies outside the style folders (%s); copy it there or add its "
                                 "folder to ~style_dirs" % (style, ", ".join(self.folders)))
            if os.path.isfile(path):
                return path
        raise StyleError("unknown style %r; known: %s" % (style, ", ".join(paths)))

    def read(self, style):
        """The picture of ``style`` (see `find`), RGB uint8 ``[h,w,3]``."""
        return images.read(self.find(style))
