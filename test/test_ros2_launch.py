"""``stylize.launch.py`` with stand-ins for ROS's launch, which is not on PyPI: what it declares and starts."""

import os
import runpy
import sys
import types

import pytest

from ros_style_transfer.ros_common.fields import FIELDS, STARTUP_FIELDS


class Recorded:
    """Keeps what it was made with."""

    def __init__(self, *arguments, **options):
        self.arguments, self.options = arguments, options


@pytest.fixture
def description(monkeypatch, repository):
    """What the launch file returns."""
    modules = {
        "launch": ("LaunchDescription",),
        "launch.actions": ("DeclareLaunchArgument",),
        "launch.substitutions": ("LaunchConfiguration",),
        "launch_ros": (),
        "launch_ros.actions": ("Node",),
        "launch_ros.parameter_descriptions": ("ParameterValue",),
    }
    for name, classes in modules.items():
        module = types.ModuleType(name)
        for one in classes:
            setattr(module, one, type(one, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(os.path.join(repository, "launch", "stylize.launch.py"))["generate_launch_description"]()


def test_every_parameter_is_an_argument_and_is_passed_on_with_its_type(description):
    (actions,) = description.arguments
    declared = {action.arguments[0]: action.options for action in actions[:-1]}
    fields = {field.name: field for field in (*FIELDS, *STARTUP_FIELDS)}
    assert set(fields) < set(declared)
    assert (
        declared["style"]["default_value"] == "flow_night" and declared["always_subscribe"]["default_value"] == "false"
    )
    assert all(isinstance(options["default_value"], str) and options["description"] for options in declared.values())
    node = actions[-1].options
    (passed,) = node["parameters"]
    assert {name: value.options["value_type"] for name, value in passed.items()} == dict(
        {name: field.type for name, field in fields.items()}, use_sim_time=bool
    )
    assert [pair[0] for pair in node["remappings"]] == ["image", "style_image", "mask"]
