"""Used by catkin only (CMakeLists.txt calls it).  pip uses pyproject.toml."""

from distutils.core import setup

from catkin_pkg.python_setup import generate_distutils_setup

setup(
    **generate_distutils_setup(
        packages=[
            "ros_style_transfer",
            "ros_style_transfer.benchmark",
            "ros_style_transfer.cli",
            "ros_style_transfer.media",
            "ros_style_transfer.models",
            "ros_style_transfer.render",
            "ros_style_transfer.ros",
            "ros_style_transfer.ros.panel",
            "ros_style_transfer.ros.web",
            "ros_style_transfer.ros_common",
            "ros_style_transfer.streaming",
            "ros_style_transfer.training",
            "ros_style_transfer.transfer",
        ],
        package_data={
            "ros_style_transfer": ["py.typed", "styles/*.jpg"],
            "ros_style_transfer.ros.web": ["static/*"],
        },
    )
)
