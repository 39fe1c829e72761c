"""A camera's view, repainted: universal style transfer (Li et al. 2017) for ROS 1."""
# The source tree holds the code, catkin's devel space the generated messages: both are one package.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
__version__ = "0.1.0"
