"""What our programs set in their environment, before they import NumPy and TensorFlow.  The library sets nothing."""

import ctypes
import os

_M_ARENA_MAX = -8  # of glibc's malloc.h


def limit_numpy_threads():
    """numpy multiplies no large matrices here, and its threads, while they wait for more, would hold up LiteRT's."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def leave_out_keras():
    """TensorFlow would import Keras 3, a quarter of the time until the first picture, and nothing needs it."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


def use_one_heap():
    """Keep memory flat: glibc gives each thread a heap, and frames that are made in one thread and freed in another
    let them all grow by megabytes per minute.  Painting is no slower with a single heap."""
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except AttributeError:
        pass  # another C library, without such heaps
