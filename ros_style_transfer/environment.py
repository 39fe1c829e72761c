"""What our programs set before they import NumPy and TensorFlow.  The library itself sets nothing."""

import ctypes
import logging
import os
import warnings

_M_ARENA_MAX = -8  # of glibc's malloc.h


def limit_numpy_threads() -> None:
    """Let NumPy compute in one thread: it multiplies no large matrices here, and its idle threads slow LiteRT down."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def leave_out_keras() -> None:
    """Keep TensorFlow from importing Keras 3, which nothing needs and which takes a quarter of the start-up time."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


def return_large_buffers() -> None:
    """Let TensorFlow take the memory of its convolutions from the system, and not keep it: for one large frame it
    would keep hundreds of megabytes."""
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")


def hide_notes(verbose: bool = False) -> None:
    """Hide what TensorFlow, OpenCV and matplotlib print while nothing is wrong, unless ``verbose``."""
    if verbose:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # only errors
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # unreadable files are reported with their names
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # retraced functions
    warnings.filterwarnings("ignore", "Unable to import Axes3D")  # of a second matplotlib


def use_one_heap() -> None:
    """Keep memory flat: glibc gives each thread a heap, and frames that one thread allocates and another frees make
    all of them grow by megabytes per minute.  A single heap is as fast."""
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except AttributeError:
        pass  # another C library, without such heaps
