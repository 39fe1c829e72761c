"""Starts the node: ``ros2 launch ros_style_transfer stylize.launch.py image:=/camera/image_raw style:=mosaic``.

Every parameter of the node is an argument, see ``--show-args``.
"""

from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from ros_style_transfer.ros_common.fields import FIELDS, STARTUP_FIELDS

ARGUMENTS = (
    ("image", "/camera/image_raw", "topic of the camera (sensor_msgs/Image)"),
    ("name", "style_transfer", "name of the node; its topics are below it, such as NAME/image"),
    ("style_image", "style_image", "topic of the pictures that are the style `topic`"),
    ("mask_image", "mask", "topic of the masks, if the mask is `topic`"),
    ("respawn", "false", "restart the node when it ends"),
    ("use_sim_time", "false", "take the time of stamps from /clock"),
)
DEFAULTS = {"style": "flow_night"}  # instead of the empty text


def generate_launch_description():
    """The arguments and the node."""
    fields = [*STARTUP_FIELDS, *FIELDS]
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    for field in fields:
        default = DEFAULTS.get(field.name, str(field.default).lower() if field.type is bool else str(field.default))
        declared.append(DeclareLaunchArgument(field.name, default_value=default, description=field.help))
    parameters = {
        field.name: ParameterValue(LaunchConfiguration(field.name), value_type=field.type) for field in fields
    }
    parameters["use_sim_time"] = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    node = Node(
        package="ros_style_transfer",
        executable="style_transfer_node",
        name=LaunchConfiguration("name"),
        output="screen",
        respawn=LaunchConfiguration("respawn"),
        respawn_delay=2.0,
        parameters=[parameters],
        remappings=[
            ("image", LaunchConfiguration("image")),
            ("style_image", LaunchConfiguration("style_image")),
            ("mask", LaunchConfiguration("mask_image")),
        ],
    )
    return LaunchDescription([*declared, node])
