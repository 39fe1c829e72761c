"""The node's parameters: declared with types, ranges and help, and changed while the node runs.

A request of a parameter service is answered when its changes are in force, or with the reason why they are not.
"""

import threading
from typing import Any, Callable, List, Mapping

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..controls import ALIASES, CONTROLS
from ..errors import StyleTransferError
from ..ros_common import params
from ..ros_common.conversions import to_text
from ..ros_common.fields import FIELDS, LEVEL_PREFIX, STARTUP_FIELDS, Field
from ..streaming.event_log import RepeatFilter

_LIVE = {field.name: field for field in FIELDS}
_ALL = {field.name: field for field in (*FIELDS, *STARTUP_FIELDS)}
_SEPARATORS = {"style_dirs": ":"}  # of other texts: a comma
# Declared by rclpy itself.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare(node: Node) -> params.Parameters:
    """Declare all parameters; returns those that the node starts with.

    Args:
        node: created with ``automatically_declare_parameters_from_overrides``.

    Raises:
        OptionError: lists every parameter that has a wrong value, with what is allowed.
    """
    given = {name: parameter.value for name, parameter in node.get_parameters_by_prefix("").items()}
    unknown = [name for name in given if name not in _ALL and name not in ALIASES and not name.startswith(_FOREIGN)]
    if unknown:
        node.get_logger().warning("unknown parameters are ignored: %s" % ", ".join(sorted(unknown)))

    def get_param(name: str, default: Any) -> Any:
        name = name.lstrip("~")
        if name == "level_strength":
            levels = {field: given[field] for field in given if field.startswith(LEVEL_PREFIX)}
            return {int(field[len(LEVEL_PREFIX) :]): float(value) for field, value in levels.items()}
        return normalise(_ALL[name], given[name]) if name in given and name in _ALL else given.get(name, default)

    read = params.read(get_param, lambda message: node.get_logger().warning(message))
    for name, field in _ALL.items():
        if name in given:
            node.undeclare_parameter(name)
        value = normalise(field, given.get(name, _default(field, read)))
        node.declare_parameter(name, value, _descriptor(field), ignore_override=True)
    return read


def _default(field: Field, read: params.Parameters) -> Any:
    """What a parameter is if nobody has set it: ``read`` holds what aliases have set."""
    if field.name in CONTROLS or field.name.startswith(LEVEL_PREFIX) or not hasattr(read, field.name):
        return field.default
    value = getattr(read, field.name)
    return "" if value is None else value


def normalise(field: Field, value: Any) -> Any:
    """A value as its parameter has it: a list as text, a number or a text as what is wanted of the two, and ``no``,
    which YAML reads as false, as ``no``."""
    if field.type is str and isinstance(value, bool):
        return "no" if not value and "no" in field.choices else value
    if field.type is str and isinstance(value, (int, float)):
        return "%g" % value
    if field.type is str and not isinstance(value, str):
        return _SEPARATORS.get(field.name, ",").join(
            part if isinstance(part, str) else "%g" % part for part in value or ()
        )
    if field.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if field.type in (float, int) and isinstance(value, str):
        try:
            return field.type(value)
        except ValueError:
            return value  # of the wrong type, as rclpy will say
    return value


def _descriptor(field: Field) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=field.help, read_only=field.name not in _LIVE)
    if field.choices:
        descriptor.additional_constraints = "one of: %s" % ", ".join(
            choice or "'' (the model's own)" for choice in field.choices
        )
    if field.range is not None and field.type is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=field.range[0], to_value=field.range[1])]
    elif field.range is not None:
        descriptor.integer_range = [IntegerRange(from_value=int(field.range[0]), to_value=int(field.range[1]), step=1)]
    return descriptor


class LiveParameters:
    """Keeps the parameters and what is in force in step.  `setup` connects, `shutdown` ends.

    Args:
        node: whose parameters they are.
        now: returns the values in force, by the names of `fields.FIELDS`.
        change: called with the changed values, by name; raises `StyleTransferError` to refuse them.
    """

    def __init__(
        self, node: Node, now: Callable[[], Mapping[str, Any]], change: Callable[[Mapping[str, Any]], Any]
    ) -> None:
        self._node, self._now, self._change = node, now, change
        self._publishing = threading.local()  # .active in the thread that sets the parameters to what is in force
        self._changed, self._stop = threading.Event(), threading.Event()
        self._filter = RepeatFilter()
        self._thread = threading.Thread(target=self._publish, name="parameters", daemon=True)

    def setup(self) -> None:
        """Answer requests from now on."""
        self._node.add_pre_set_parameters_callback(self._normalise)
        self._node.add_on_set_parameters_callback(self._on_set)
        self._node.add_post_set_parameters_callback(lambda _: self._tell_unless_publishing())
        self._thread.start()
        self.tell()

    def shutdown(self) -> None:
        """Stop; returns when the thread has ended."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def tell(self) -> None:
        """Set the parameters to the values in force soon, because those have changed."""
        self._changed.set()

    def _tell_unless_publishing(self) -> None:
        if not getattr(self._publishing, "active", False):
            self.tell()

    def _publish(self) -> None:
        self._publishing.active = True
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._stop.is_set():
                return
            try:
                different = [
                    Parameter(name, value=value)
                    for name, value in self._now().items()
                    if self._node.get_parameter(name).value != value
                ]
                if different:
                    self._node.set_parameters(different)
            except Exception as error:  # the next change may succeed
                if not self._stop.is_set() and self._filter.is_due("parameters", str(error), 10.0):
                    self._node.get_logger().error("the parameters cannot be updated: %r" % error)

    def _normalise(self, parameters: List[Parameter]) -> List[Parameter]:
        return [
            Parameter(parameter.name, value=normalise(_ALL[parameter.name], parameter.value))
            if parameter.name in _ALL and parameter.value is not None
            else parameter
            for parameter in parameters
        ]

    def _on_set(self, parameters: List[Parameter]) -> SetParametersResult:
        if getattr(self._publishing, "active", False):
            return SetParametersResult(successful=True)
        now, changes = self._now(), {}  # type: Mapping[str, Any], Dict[str, Any]
        for parameter in parameters:
            if parameter.name not in _LIVE:
                continue
            if parameter.value is None:
                return SetParametersResult(successful=False, reason="%s cannot be undeclared" % parameter.name)
            if parameter.value != now[parameter.name]:
                changes[parameter.name] = parameter.value
        try:
            if changes:
                self._change(changes)
        except StyleTransferError as error:
            self._node.get_logger().warning("parameters: %s" % error)
            return SetParametersResult(successful=False, reason=to_text(str(error)))
        return SetParametersResult(successful=True)
