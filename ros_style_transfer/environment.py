"""What our programs set in their environment, before they import NumPy and TensorFlow.  The library sets nothing."""
import os


def limit_numpy_threads():
    """numpy multiplies no large matrices here, and its threads, while they wait for more, would hold up LiteRT's."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def leave_out_keras():
    """TensorFlow would import Keras 3, a quarter of the time until the first picture, and nothing needs it."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
