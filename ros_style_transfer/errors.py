"""The exceptions of this package, with one root.  Every message says what was wrong, with which
value, and what to do."""


class StyleTransferError(Exception):
    """The root of all errors that this package raises on purpose."""


class ImageError(StyleTransferError):
    """A picture cannot be read, written or used."""


class StyleError(StyleTransferError):
    """A style is unknown, or lies outside the folders that may be read."""


class WeightsError(StyleTransferError):
    """Weights are missing, damaged or not what the manifest says."""


class OptionError(StyleTransferError):
    """An option has a value that is not allowed."""


class BagError(StyleTransferError):
    """A bag cannot be read, written or continued."""


class ClusterError(StyleTransferError):
    """Ray is missing, cannot be reached, or has machines that cannot work."""
