"""Pictures as arrays: uint8, ``[height, width, 3]``, RGB in sRGB; alpha apart, uint8 ``[height, width]``.
No TensorFlow, no ROS."""

import io
import os
import warnings

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from ..errors import ImageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
ALPHA_EXTENSIONS = (".png", ".webp", ".tif", ".tiff")  # these keep alpha
# The longer side to scale to: a slip of the hand would take all memory.
MIN_SIDE, MAX_SIDE = 16, 16384

# What EXIF's orientations from 2 on ask for; 1 is upright.
_TURNS = dict(
    enumerate(
        (
            Image.FLIP_LEFT_RIGHT,
            Image.ROTATE_180,
            Image.FLIP_TOP_BOTTOM,
            Image.TRANSPOSE,
            Image.ROTATE_270,
            Image.TRANSVERSE,
            Image.ROTATE_90,
        ),
        start=2,
    )
)


def read(path):
    """The picture at ``path`` as RGB uint8 ``[h,w,3]``; see `read_with_alpha`, whose alpha it leaves out."""
    return read_with_alpha(path)[0]


def read_with_alpha(path):
    """The picture at ``path``, upright and in sRGB: ``(rgb, alpha)``.

    EXIF's orientation and an embedded colour profile are applied (a profile that is of no use is
    warned of and left out), 16-bit values are scaled to 8 bits, of an animation it is the first frame.

    What lies under wholly transparent pixels is arbitrary, often black, and would count in a style's
    statistics like anything seen.  Such pixels take the colour of the nearest pixel that is more
    seen than not: no colour and no edge appears that the picture does not show.

    Returns:
        rgb: uint8 ``[h,w,3]``, not multiplied by alpha.
        alpha: uint8 ``[h,w]``; None if the picture is opaque.

    Raises:
        ImageError: there is no such file, it is not a picture, or its values are not 1 to 16 bits
            without a sign.
    """
    try:
        # By its name, Pillow 11 to 13 would map an uncompressed TIFF into memory and turn it wrongly.
        with open(path, "rb") as file, Image.open(file) as image:
            upright = _in_8_bits(image, path)
            turn = _TURNS.get(_orientation(image))
            if turn is not None and image.format != "TIFF":  # Pillow turns those by itself
                upright = upright.transpose(turn)
            alpha = _alpha(upright)
            rgb = np.array(_in_srgb(upright, path))
    except FileNotFoundError:
        raise ImageError("no such picture: %s" % path) from None
    except UnidentifiedImageError:
        raise ImageError("cannot read the picture %s: it is of no kind that is known here" % path) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError("cannot read the picture %s: %s" % (path, error)) from None
    return rgb if alpha is None else _fill(rgb, alpha), alpha


def read_mask(path):
    """The labels of the picture at ``path``, uint8 ``[h, w]``: palette indices, or grey values.

    Raises:
        ImageError: there is no such file, or it is not a picture of 8 bits.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "P"):
                raise ImageError("the mask %s must be grey or have a palette (8 bits), not %s" % (path, image.mode))
            return np.array(image.convert("L") if image.mode == "1" else image)
    except FileNotFoundError:
        raise ImageError("no such mask: %s" % path) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError("cannot read the mask %s: %s" % (path, error)) from None


def _in_8_bits(image, path):
    """The opened ``image``, loaded, with 8 bits a channel; 16-bit values are rounded, where Pillow
    clips grey and keeps the high byte of colours."""
    layout = str(image.tile[:1])  # such as "RGB;16B": the bits in the file, which load() forgets
    image.load()
    if image.mode[0] in "IF":
        if ";16" not in layout or ";16S" in layout:
            raise ValueError("it has 32-bit, floating-point or signed values; save it with 8 or 16 bits a channel")
        values = np.asarray(image)
    elif ";16" in layout:
        values = cv2.imread(os.fspath(path), cv2.IMREAD_UNCHANGED)
        if values is None or values.ndim != 3:
            return image
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
        # OpenCV knows the low byte, too, but turns some TIFFs by rules of its own.
        if not np.array_equal(values >> 8, image):
            return image
    else:
        return image
    rounded = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    rounded.info["icc_profile"] = image.info.get("icc_profile")
    return rounded


def _orientation(image):
    """EXIF's orientation, 1 where it says none or is broken."""
    try:
        return image.getexif().get(0x0112, 1)
    except (SyntaxError, ValueError):
        return 1


def _alpha(image):
    """The alpha of an 8-bit ``image``, uint8 ``[h,w]``; None if it is opaque."""
    if "transparency" not in image.info and not image.mode.endswith(("A", "a")):
        return None
    alpha = np.array(image.convert("RGBA").getchannel("A"))
    return None if alpha.min() == 255 else alpha


def _in_srgb(image, path):
    """An 8-bit ``image`` without its alpha, in sRGB."""
    grey = image.mode in ("1", "L", "LA")
    if "transparency" in image.info:
        image = image.convert("RGBA")  # or Pillow would complain that it is lost
    if image.info.get("icc_profile"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            space = profile.profile.xcolor_space
            mode = "L" if grey and space == "GRAY" else "CMYK" if image.mode == "CMYK" else "RGB"
            return ImageCms.profileToProfile(
                image.convert(mode), profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ImportError) as error:  # ImportError: a Pillow without LittleCMS
            warnings.warn(
                "the colour profile of %s is of no use (%s); its colours are taken as sRGB" % (path, error),
                stacklevel=3,
            )
    return image.convert("RGB")


def _fill(rgb, alpha):
    """``rgb`` with the nearest half-opaque pixel's colour where alpha is 0."""
    seen = alpha >= min(128, alpha.max())  # a rim of next to no alpha has next to no bits of colour
    _, labels = cv2.distanceTransformWithLabels(
        np.uint8(~seen), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((labels.max() + 1, 3), np.uint8)
    colours[labels[seen]] = rgb[seen]
    return np.where(alpha[..., None] == 0, colours[labels], rgb)


def write(path, rgb, alpha=None):
    """Write RGB uint8 ``[h,w,3]``, taken as sRGB, to ``path``; its ending chooses the format.

    Whoever reads it meanwhile sees what was there before or the new picture, never half of it.

    Args:
        alpha: uint8 ``[h,w]``, or None for an opaque picture.  PNG, WebP and TIFF keep it; JPEG and
            BMP cannot, and get the picture on white.

    Raises:
        ImageError: the ending is unknown, the file cannot be written, or an array is not as said.
    """
    check(rgb)
    check_extension(path)
    image, part = Image.fromarray(rgb), "%s.part" % path
    if alpha is not None:
        image = _with_alpha(image, alpha, str(path).lower().endswith(ALPHA_EXTENSIONS))
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        options = {"quality": 95} if str(path).lower().endswith((".jpg", ".jpeg", ".webp")) else {}
        image.save(part, Image.registered_extensions()[os.path.splitext(str(path).lower())[1]], **options)
        os.replace(part, path)
    except (OSError, ValueError) as error:  # ValueError: too large for the format
        if os.path.exists(part):
            os.remove(part)
        raise ImageError("cannot write %s: %s" % (path, error)) from None


def path_below(folder, name, said):
    """The path of a new picture ``name`` below ``folder``, where requests from elsewhere may write.

    Args:
        said: what users know the folder as.

    Raises:
        ImageError: there is no such folder, the path leads out of it (links are followed first),
            exists already, or has an ending of no picture.
    """
    if not folder:
        raise ImageError("nothing can be saved: %s is not set" % said)
    root = os.path.realpath(os.path.expanduser(folder))
    path = os.path.realpath(os.path.join(root, name.replace("\0", "?")))
    if os.path.commonpath([root, path]) != root or path == root:
        raise ImageError("%r lies outside of %s (%s); give a name below it" % (name, said, root))
    check_extension(path)
    if os.path.exists(path):
        raise ImageError("%s exists already; choose another name" % path)
    return path


def _with_alpha(image, alpha, keep):
    """``image`` with ``alpha``, or on white where alpha cannot be kept."""
    if alpha.dtype != np.uint8 or alpha.shape != (image.height, image.width):
        raise ImageError(
            "the alpha of a %dx%d picture must be uint8 [%d, %d], not %s %s"
            % (*image.size, image.height, image.width, alpha.dtype, alpha.shape)
        )
    alpha = Image.fromarray(alpha)
    if keep:
        image.putalpha(alpha)
        return image
    return Image.composite(image, Image.new("RGB", image.size, "white"), alpha)


def check_exists(path):
    """Raise `ImageError` unless there is a file at ``path``."""
    if not os.path.isfile(path):
        raise ImageError("no such picture: %s" % path)


def check_extension(path):
    """Raise `ImageError` unless the ending of ``path`` names a format that we write."""
    if not str(path).lower().endswith(EXTENSIONS):
        raise ImageError("cannot write %s: the name must end in one of %s" % (path, ", ".join(EXTENSIONS)))


def check(rgb):
    """Raise `ImageError` unless ``rgb`` is a picture: uint8 ``[h,w,3]`` with at least one pixel."""
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        found = "%s %s" % (rgb.dtype, rgb.shape) if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise ImageError("a picture must be uint8 [height, width, 3] (RGB), not %s" % found)
    if rgb.size == 0:
        raise ImageError("the picture is empty: %dx%d" % (rgb.shape[1], rgb.shape[0]))


def fit_longest_side(width, height, longest, smallest=1):
    """``(width, height)`` with the longer side ``longest``, no side below ``smallest``."""
    scale = longest / max(width, height)
    return max(smallest, round(width * scale)), max(smallest, round(height * scale))


def resize(rgb, width, height):
    """Antialiased bicubic resampling (Pillow's), for stills."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.BICUBIC))


def resize_longest_side(picture, side):
    """``picture``, ``[h, w]`` or ``[h, w, 3]``, with ``side`` as its longer side; 0: as it is."""
    if not side:
        return picture
    return resize(picture, *fit_longest_side(picture.shape[1], picture.shape[0], side, 16))


def center_crop(rgb, share):
    """The middle ``share`` of both sides of ``rgb [h, w, 3]``."""
    height, width = (max(1, round(side * share)) for side in rgb.shape[:2])
    top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return rgb[top : top + height, left : left + width]


def concat(styles, painted):
    """``painted`` with ``styles``, one or more, in a column as high as it on its left; all RGB uint8 ``[h,w,3]``."""
    height = painted.shape[0]
    heights = np.array([style.shape[0] / style.shape[1] for style in styles])  # at a width of 1
    width = max(1, round(height / heights.sum()))
    rows = np.round(np.append(0, heights.cumsum()) / heights.sum() * height).astype(int)
    column = [resize(style, width, max(1, row)) for style, row in zip(styles, np.diff(rows))]
    return np.hstack([np.vstack(column)[:height], painted])


def limit_longest_side(rgb, max_side):
    """``rgb`` with its longer side at most ``max_side`` (0: no limit); by area, fast enough for video."""
    height, width = rgb.shape[:2]
    if not max_side or max(height, width) <= max_side:
        return rgb
    return cv2.resize(rgb, fit_longest_side(width, height, max_side), interpolation=cv2.INTER_AREA)


def pad(rgb, multiple=16, smallest=32):
    """``rgb`` reflected at the right and the bottom until both sides are multiples of ``multiple``.

    Four poolings need sides that divide by 16, and reflection padding at relu5_1 needs two
    positions a side, hence 32 pixels at least.
    """
    height, width = rgb.shape[:2]
    bottom = max(smallest, -(-height // multiple) * multiple) - height
    right = max(smallest, -(-width // multiple) * multiple) - width
    if not bottom and not right:
        return rgb
    # A side of one pixel has nothing to reflect; numpy repeats it.
    mode = "reflect" if min(height, width) > 1 else "edge"
    return np.pad(rgb, ((0, bottom), (0, right), (0, 0)), mode)
