"""A camera's view, repainted: universal style transfer (Li et al. 2017) for ROS 1."""
import os

# numpy multiplies no large matrices here, and its threads, while they wait for more, would hold up LiteRT's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The source tree holds the code, catkin's devel space the generated messages: both are one package.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
__version__ = "0.1.0"
