"""The tables of fields and parameters agree, so that ROS 2 declares what ROS 1 reads."""

import pytest

from ros_style_transfer.errors import OptionError
from ros_style_transfer.ros_common import params
from ros_style_transfer.ros_common.fields import FIELDS, STARTUP_FIELDS

ALL = {field.name: field for field in (*FIELDS, *STARTUP_FIELDS)}


def test_every_parameter_is_a_field_with_the_same_default():
    for name, default in params.DEFAULTS._asdict().items():
        if name == "controls":
            continue
        if name == "style":
            assert ALL[name].default == ""  # dynamic_reconfigure starts with what is in force
        elif default in ((), [], None):
            assert ALL[name].default == "", name
        else:
            assert (ALL[name].default, ALL[name].type) == (default, type(default)), name


@pytest.mark.parametrize(
    "field", [field for field in STARTUP_FIELDS if field.range or field.choices], ids=lambda f: f.name
)
def test_the_ranges_and_choices_of_fields_are_those_that_are_checked(field):
    def read(value):
        return params.read(lambda name, default: value if name == "~" + field.name else default)

    for value in field.choices or field.range:
        if field.name == "precision" and value == "float16":
            continue  # depends on the model
        read(value)
    for value in ["nonsense"] if field.choices else [field.range[0] - 1, field.range[1] + 1]:
        with pytest.raises(OptionError, match="~" + field.name):
            read(value)
