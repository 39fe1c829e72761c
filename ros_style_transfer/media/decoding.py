"""Opens pictures that may come from anywhere.

Only known formats are decoded, within bounds that follow the free memory, and every failure of a decoder is an
`ImageError`.  All pictures of the command line, the node and the services come through here.
"""

import contextlib
import io
import threading
from typing import Any, BinaryIO, Iterator, Union

from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import ImageError
from ..resources import available_memory

# Pillow would try every decoder that it has, and some of those start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
BYTES_PER_PIXEL = 16  # that decoding takes, with all copies
# A bomb is large and compressed further than any photograph: a flat JPEG has 130 pixels a byte, a flat PNG 340.
LARGE_PIXELS, MAX_PIXELS_PER_BYTE = 50_000_000, 200

_PILLOW_LIMIT = threading.Lock()


@contextlib.contextmanager
def opened(
    source: Union[BinaryIO, bytes], name: Any, kind: str = "picture", longest: int = 0
) -> Iterator[ImageFile.ImageFile]:
    """A picture, not yet decoded, as a `PIL.ImageFile.ImageFile`.  Decode it within the context.

    Args:
        source: a file open for reading, or its bytes.
        name: of the picture in error messages.
        kind: what it is in error messages.
        longest: a JPEG may be decoded at a fraction of its size, as long as its longer side is at least twice this one;
            0: never.

    Raises:
        ImageError: it is of no known format, damaged, a bomb, or too large for the free memory.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with errors(name, kind), _open(file) as image:
        if longest:
            image.draft(image.mode, (2 * longest, 2 * longest))
        _check_size(image, file)
        yield image


@contextlib.contextmanager
def errors(name: Any, kind: str = "picture") -> Iterator[None]:
    """Turn every exception of a decoder into an `ImageError` that names the picture; see `opened`."""
    try:
        yield
        return
    except ImageError as error:
        reason = str(error)
    except UnidentifiedImageError:
        reason = "it is in none of the formats %s" % ", ".join(FORMATS)
    except MemoryError:
        reason = "not enough memory"
    except Exception as error:  # decoders raise anything: struct.error, TypeError, NotImplementedError, ...
        reason = str(error) or "it is damaged (%s)" % type(error).__name__
    raise ImageError("cannot read the %s %s: %s" % (kind, name, reason)) from None


def check_header(data: bytes, name: Any) -> None:
    """Raise `ImageError` unless ``data`` begin like a picture that `opened` would decode.  Decodes nothing."""
    with opened(data, name):
        pass


def _open(file: BinaryIO) -> ImageFile.ImageFile:
    """`Image.open` with the formats above and without Pillow's own limit of 179 megapixels."""
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image, file: BinaryIO) -> None:
    position = file.tell()
    pixels, length = image.width * image.height, file.seek(0, io.SEEK_END)
    file.seek(position)
    if pixels > max(LARGE_PIXELS, MAX_PIXELS_PER_BYTE * length):
        raise ImageError(
            "%d megapixels in %.3g MB: it looks like a decompression bomb; save it less compressed or smaller"
            % (pixels / 1e6, length / 1e6)
        )
    needed, free = pixels * BYTES_PER_PIXEL, available_memory()
    if needed > free:
        raise ImageError(
            "decoding %dx%d pixels takes about %d MB, but only %d MB are free; make it smaller or free memory"
            % (image.width, image.height, needed / 1e6, free / 1e6)
        )
