"""For catkin alone (CMakeLists.txt calls it); not to be run by hand."""
from distutils.core import setup

from catkin_pkg.python_setup import generate_distutils_setup

setup(**generate_distutils_setup(
    packages=[
        "ros_style_transfer",
        "ros_style_transfer.benchmark",
        "ros_style_transfer.ros",
        "ros_style_transfer.styles",
        "ros_style_transfer.training",
    ],
    package_data={"ros_style_transfer.styles": ["*.jpg"]},
))
