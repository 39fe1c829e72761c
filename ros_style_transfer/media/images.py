"""Pictures as arrays: uint8, ``[height, width, 3]``, RGB in sRGB; alpha separately, uint8 ``[height, width]``.
No TensorFlow, no ROS."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterator, Optional, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageFile

from ..errors import ImageError
from .decoding import opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Path = Any  # str or os.PathLike

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
ALPHA_EXTENSIONS = (".png", ".webp", ".tif", ".tiff")  # these keep alpha
LOSSY_EXTENSIONS = (".jpg", ".jpeg", ".webp")
QUALITY = 95  # of lossy formats
# The longer side to resize to; a mistyped one would take all memory.
MIN_SIDE, MAX_SIDE = 16, 16384

_LOGGER = logging.getLogger(__name__)

# How EXIF's orientations from 2 on are turned upright; 1 is upright.
_TURNS = dict(
    enumerate(
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        start=2,
    )
)


def read(path: Path, longest: int = 0) -> NDArray[np.uint8]:
    """The picture at ``path`` as RGB uint8 ``[h,w,3]``, without its alpha; see `read_with_alpha`."""
    return read_with_alpha(path, longest)[0]


def read_with_alpha(path: Path, longest: int = 0) -> Tuple[NDArray[np.uint8], Optional[NDArray[np.uint8]]]:
    """The picture at ``path``, upright and in sRGB: ``(rgb, alpha)``.

    EXIF's orientation and an embedded colour profile are applied; an unusable profile is logged and ignored.
    16-bit values are rounded to 8 bits.  Of an animation, this is the first frame.

    Fully transparent pixels have arbitrary colours, often black, which would count in a style's statistics.  They
    get the colour of the nearest pixel that is at least half opaque, so no new colour and no new edge appears.

    Args:
        longest: the longer side that the caller will resize the picture to; 0: none.  A much larger JPEG is then
            decoded at a fraction of its size, at least twice this side.

    Returns:
        rgb: uint8 ``[h,w,3]``, not multiplied by alpha.
        alpha: uint8 ``[h,w]``; None if the picture is opaque.

    Raises:
        ImageError: there is no such file, it is not a picture, or its values are not unsigned with 1 to 16 bits.
    """
    with _opened_file(path, "picture", longest) as image:
        upright = _upright(image)
        alpha = _alpha(upright)
        rgb = np.array(_in_srgb(upright, path))
        return rgb if alpha is None else _fill_transparent(rgb, alpha), alpha


def read_mask(path: Path) -> NDArray[np.uint8]:
    """The labels of the picture at ``path``, uint8 ``[h, w]``.

    A black-and-white picture of any kind has the labels 0 and 255.  Otherwise labels are the indices of a palette, or
    grey values; 16-bit grey values are labels themselves if none exceeds 255.  Fully transparent pixels are 0.

    Raises:
        ImageError: there is no such file, or it is not a picture that can be a mask.
    """
    with _opened_file(path, "mask") as image:
        values = _16_bit_values(image)
        if values is not None and values.ndim == 2 and values.max(initial=0) <= 255:
            return np.array(_turned(Image.fromarray(values.astype(np.uint8)), image))
        picture = _turned(image if values is None else _rounded(values), image)
        rgb = np.asarray(picture.convert("RGB"))
        is_grey = (rgb == rgb[:, :, :1]).all()
        if picture.mode == "P" and not (is_grey and ((rgb == 0) | (rgb == 255)).all()):
            return np.array(picture)
        if not is_grey:
            raise ImageError("a mask must be black and white, grey, or have a palette; this picture has colours")
        alpha = _alpha(picture)
        return rgb[:, :, 0].copy() if alpha is None else np.where(alpha == 0, np.uint8(0), rgb[:, :, 0])


@contextlib.contextmanager
def _opened_file(path: Path, kind: str, longest: int = 0) -> Iterator[ImageFile.ImageFile]:
    """The file at ``path`` as `decoding.opened` opens it; ``kind`` is what it is in error messages."""
    try:
        if not os.path.isfile(path):  # a pipe or a device may have no end
            raise FileNotFoundError
        # Given the path, Pillow 11 to 13 would map an uncompressed TIFF into memory and turn it wrongly.
        file = open(path, "rb")
    except FileNotFoundError:
        raise ImageError("no such %s: %s" % (kind, path)) from None
    except (OSError, ValueError) as error:
        raise ImageError("cannot read the %s %s: %s" % (kind, path, error)) from None
    with file, opened(file, path, kind, longest) as image:
        yield image


def _upright(image: ImageFile.ImageFile) -> Image.Image:
    """An opened picture, decoded in 8 bits and turned as EXIF says."""
    values = _16_bit_values(image)
    if values is None:
        return _turned(image, image)
    rounded = _rounded(values)
    rounded.info["icc_profile"] = image.info.get("icc_profile")
    return _turned(rounded, image)


def _turned(decoded: Image.Image, image: ImageFile.ImageFile) -> Image.Image:
    """``decoded``, turned as the EXIF of ``image`` says."""
    turn = _TURNS.get(_orientation(image))
    # Pillow turns TIFFs by itself.
    return decoded if turn is None or image.format == "TIFF" else decoded.transpose(turn)


def _16_bit_values(image: ImageFile.ImageFile) -> Optional[NDArray[Any]]:
    """The values of an opened picture with 16 bits per channel, which is decoded here: ``[h,w]`` or ``[h,w,3 or 4]``.
    None if it has fewer bits.

    Pillow would clip 16-bit grey values and drop the low byte of colours.
    """
    layout = str(image.tile[:1])  # such as "RGB;16B": the bits in the file, which load() forgets
    file = image.fp
    image.load()
    if image.mode[0] in "IF":
        if ";16" not in layout or ";16S" in layout:
            raise ImageError("it has 32-bit, floating-point or signed values; save it with 8 or 16 bits per channel")
        return np.asarray(image)
    if ";16" not in layout:
        return None
    assert file is not None  # open within `opened`
    file.seek(0)
    values: Any = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        return None
    values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    # OpenCV also knows the low byte, but turns some TIFFs by rules of its own.
    return values if np.array_equal(values >> 8, np.asarray(image)) else None


def _rounded(values: NDArray[Any]) -> Image.Image:
    """A picture of 8 bits from 16-bit values."""
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 if it has none or is broken."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # whatever Pillow's parser raises: the picture is fine without
        return 1


def _alpha(image: Image.Image) -> Optional[NDArray[np.uint8]]:
    """The alpha of an 8-bit picture, uint8 ``[h,w]``; None if it is opaque."""
    if "transparency" not in image.info and not image.mode.endswith(("A", "a")):
        return None
    alpha = np.array(image.convert("RGBA").getchannel("A"))
    return None if alpha.min() == 255 else alpha


def _in_srgb(image: Image.Image, path: Path) -> Image.Image:
    """An 8-bit picture without its alpha, in sRGB."""
    grey = image.mode in ("1", "L", "LA")
    if "transparency" in image.info:
        image = image.convert("RGBA")  # otherwise Pillow warns that it is lost
    if image.info.get("icc_profile"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            space = profile.profile.xcolor_space
            mode = "L" if grey and space == "GRAY" else "CMYK" if image.mode == "CMYK" else "RGB"
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image.convert(mode), profile, srgb, outputMode="RGB")
            return converted or image.convert("RGB")  # None only if it were converted in place
        except (ImageCms.PyCMSError, OSError, ImportError) as error:  # ImportError: a Pillow without LittleCMS
            _LOGGER.warning("ignoring the unusable colour profile of %s (%s); assuming sRGB", path, error)
    return image.convert("RGB")


def _fill_transparent(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``rgb`` with the colour of the nearest half-opaque pixel where alpha is 0."""
    visible = alpha >= min(128, alpha.max())  # pixels with hardly any alpha have hardly any bits of colour
    labels: Any
    _, labels = cv2.distanceTransformWithLabels(
        np.uint8(~visible), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours: NDArray[np.uint8] = np.zeros((labels.max() + 1, 3), np.uint8)
    colours[labels[visible]] = rgb[visible]
    return np.where(alpha[..., None] == 0, colours[labels], rgb)


def write(path: Path, rgb: NDArray[np.uint8], alpha: Optional[NDArray[np.uint8]] = None) -> None:
    """Write RGB uint8 ``[h,w,3]``, taken as sRGB, to ``path``; its extension chooses the format.

    Readers of ``path`` see the old file or the new picture, never a part of it.

    Args:
        alpha: uint8 ``[h,w]``, or None for an opaque picture.  PNG, WebP and TIFF keep it; in JPEG and BMP the
            picture is on white.

    Raises:
        ImageError: the extension is unknown, the file cannot be written, or an array has another shape or type.
    """
    check(rgb)
    check_extension(path)
    image, part = Image.fromarray(rgb), "%s.part" % path
    extension = _extension(path)
    if alpha is not None:
        image = _with_alpha(image, alpha, extension in ALPHA_EXTENSIONS)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        options = {"quality": QUALITY} if extension in LOSSY_EXTENSIONS else {}
        image.save(part, Image.registered_extensions()[extension], **options)
        os.replace(part, path)
    except (OSError, ValueError) as error:  # ValueError: too large for the format
        with contextlib.suppress(OSError, ValueError):
            os.remove(part)
        raise ImageError("cannot write %s: %s" % (path, error)) from None


def write_or_rescue(path: Path, rgb: NDArray[np.uint8], alpha: Optional[NDArray[np.uint8]] = None) -> None:
    """`write`; a picture that cannot be written to ``path`` is written to the folder for temporary files instead.

    Raises:
        ImageError: the picture was not written to ``path``.  The message says where it is.
    """
    try:
        write(path, rgb, alpha)
    except ImageError as error:
        try:
            descriptor, rescued = tempfile.mkstemp(".png", "ros_style_transfer-")
            os.close(descriptor)
            write(rescued, rgb, alpha)
        except (OSError, ImageError):
            raise error from None
        raise ImageError("%s; the picture is in %s" % (error, rescued)) from None


def path_below(folder: str, name: str, setting: str) -> str:
    """The path of a new picture ``name`` below ``folder``, where services may write.

    Args:
        setting: the users' name for the folder.

    Raises:
        ImageError: there is no folder, or the path leads out of it (links are followed first), exists already, or
            does not have the extension of a picture.
    """
    if not folder:
        raise ImageError("nothing can be saved: %s is not set" % setting)
    root = os.path.realpath(os.path.expanduser(folder))
    path = os.path.realpath(os.path.join(root, name.replace("\0", "?")))
    if os.path.commonpath([root, path]) != root or path == root:
        raise ImageError("%r lies outside of %s (%s); give a name below it" % (name, setting, root))
    check_extension(path)
    if os.path.exists(path):
        raise ImageError("%s exists already; choose another name" % path)
    return path


def on_white(image: Image.Image) -> NDArray[np.uint8]:
    """A decoded Pillow picture as RGB uint8 ``[h,w,3]``, on white where it is transparent."""
    rgba = image.convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))


def _with_alpha(image: Image.Image, alpha: NDArray[np.uint8], keep: bool) -> Image.Image:
    """``image`` with ``alpha``, or on white if alpha cannot be kept."""
    if alpha.dtype != np.uint8 or alpha.shape != (image.height, image.width):
        raise ImageError(
            "the alpha of a %dx%d picture must be uint8 [%d, %d], not %s %s"
            % (*image.size, image.height, image.width, alpha.dtype, alpha.shape)
        )
    mask = Image.fromarray(alpha)
    if keep:
        image.putalpha(mask)
        return image
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


def check_exists(path: Path) -> None:
    """Raise `ImageError` unless there is a file at ``path``."""
    if not os.path.isfile(path):
        raise ImageError("no such picture: %s" % path)


def check_readable(path: Path) -> None:
    """Raise `ImageError` unless the file at ``path`` begins like a picture that `read` can read; decodes nothing."""
    with _opened_file(path, "picture"):
        pass


def check_extension(path: Path) -> None:
    """Raise `ImageError` unless the extension of ``path`` names a format that `write` knows."""
    if _extension(path) not in EXTENSIONS:
        raise ImageError(
            "cannot write %s: the name must end in one of %s, with something before it" % (path, ", ".join(EXTENSIONS))
        )


def _extension(path: Path) -> str:
    return os.path.splitext(str(path))[1].lower()


def check(rgb: Any) -> None:
    """Raise `ImageError` unless ``rgb`` is a picture: uint8 ``[h,w,3]`` with at least one pixel."""
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3:
        found = "%s %s" % (rgb.dtype, rgb.shape) if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise ImageError("a picture must be uint8 [height, width, 3] (RGB), not %s" % found)
    if rgb.size == 0:
        raise ImageError("the picture is empty: %dx%d" % tuple(rgb.shape[1::-1]))


def fit_longest_side(width: int, height: int, longest: int, smallest: int = 1) -> Tuple[int, int]:
    """``(width, height)`` with the longer side ``longest``, no side below ``smallest``."""
    scale = longest / max(width, height)
    return max(smallest, round(width * scale)), max(smallest, round(height * scale))


def resize(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """``rgb``, or one channel, resized by Pillow's antialiased bicubic resampling, for single pictures."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def resize_longest_side(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """``picture``, ``[h, w]`` or ``[h, w, 3]``, resized to the longer side ``side``; 0 keeps its size."""
    if not side:
        return picture
    return resize(picture, *fit_longest_side(picture.shape[1], picture.shape[0], side, 16))


def center_crop(rgb: NDArray[np.uint8], fraction: float) -> NDArray[np.uint8]:
    """The centre of ``rgb [h, w, 3]`` with this ``fraction`` of its height and width."""
    height, width = (max(1, round(side * fraction)) for side in rgb.shape[:2])
    top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return rgb[top : top + height, left : left + width]


def concat(styles: Sequence[NDArray[np.uint8]], stylized: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``stylized`` with one or more ``styles`` in a column of its height to the left; all RGB uint8 ``[h,w,3]``."""
    height = stylized.shape[0]
    heights = np.array([style.shape[0] / style.shape[1] for style in styles])  # at a width of 1
    width = max(1, round(height / heights.sum()))
    rows = np.round(np.append(0, heights.cumsum()) / heights.sum() * height).astype(int)
    column = [resize(style, width, max(1, row)) for style, row in zip(styles, np.diff(rows))]
    return np.hstack([np.vstack(column)[:height], stylized])


def limit_longest_side(rgb: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """``rgb``, downscaled if its longer side exceeds ``max_side`` (0: no limit); averages areas, fast enough for
    video."""
    height, width = rgb.shape[:2]
    if not max_side or max(height, width) <= max_side:
        return rgb
    return cv2.resize(rgb, fit_longest_side(width, height, max_side), interpolation=cv2.INTER_AREA)


def pad(rgb: NDArray[Any], multiple: int = 16, smallest: int = 32) -> NDArray[Any]:
    """``rgb`` reflected at the right and the bottom until both sides are multiples of ``multiple``.

    Four poolings need sides that are divisible by 16, and reflection padding at relu5_1 needs two positions per side,
    hence at least 32 pixels.
    """
    height, width = rgb.shape[:2]
    bottom = max(smallest, -(-height // multiple) * multiple) - height
    right = max(smallest, -(-width // multiple) * multiple) - width
    if not bottom and not right:
        return rgb
    # A side of one pixel has nothing to reflect, so it is repeated.
    margins = ((0, int(bottom)), (0, int(right)), (0, 0))
    return np.pad(rgb, margins, "reflect") if min(height, width) > 1 else np.pad(rgb, margins, "edge")


def to_float(rgb: Any) -> Any:
    """``rgb`` as float32 in 0..1: uint8 values are divided by 255, floats returned unchanged; array or tensor."""
    return np.multiply(rgb, 1 / 255.0, dtype=np.float32) if rgb.dtype == np.uint8 else rgb
