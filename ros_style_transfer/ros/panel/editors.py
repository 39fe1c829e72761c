"""The panel's widgets for single controls, made from the table of controls.

Every editor has the same three methods: ``chosen`` returns the value that the user has chosen, ``show_value`` shows a
value without asking for it, and ``is_busy`` returns whether the user is changing it right now.  Its signal
``edited`` is emitted when the user has changed it.
"""

from typing import Any, Sequence, Tuple

from python_qt_binding.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from python_qt_binding.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QSlider, QSpinBox, QWidget

from ...controls import Control
from ...ros_common.editing import CHOICE, DECIMAL, INTEGER, MODELS_OWN, SLIDER, TEXT, editor_kind


class Slider(QSlider):
    """A slider in hundredths, with a label that shows its number.

    Args:
        range: (low, high) of the number.
        number: the first one.
    """

    edited = Signal()

    def __init__(self, range: Tuple[float, float] = (0.0, 1.0), number: float = 0.0) -> None:
        super().__init__(Qt.Horizontal, minimum=round(100 * range[0]), maximum=round(100 * range[1]), pageStep=10)
        self.number_label = QLabel()
        self.valueChanged.connect(lambda: self._show_number())
        self.valueChanged.connect(lambda: self.edited.emit())
        self.show_value(number)

    def number(self) -> float:
        """The number that it shows."""
        return self.value() / 100

    chosen = number

    def show_value(self, value: float) -> None:
        """Show a number without asking for it."""
        with QSignalBlocker(self):
            self.setValue(round(100 * value))
        self._show_number()

    def is_busy(self) -> bool:
        """Whether it is being dragged."""
        return self.isSliderDown()

    def _show_number(self) -> None:
        self.number_label.setText("%.2f" % self.number())


class Choice(QComboBox):
    """A list of choices.  If the control has no default of its own, the first choice is the model's."""

    edited = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__()
        self._optional = control.default is None
        self.show_choices(control.allowed or (), "")
        self.activated.connect(lambda: self.edited.emit())

    def show_choices(self, choices: Sequence[Any], models_own: Any) -> None:
        """Offer other choices; ``models_own`` is the one that the model takes by default, or ""."""
        current = self.currentData()
        self.clear()
        if self._optional:
            self.addItem("%s (%s)" % (MODELS_OWN, models_own) if models_own != "" else MODELS_OWN, "")
        for choice in choices:
            self.addItem(str(choice), choice)
        self.show_value(current)

    def chosen(self) -> Any:
        return self.currentData()

    def show_value(self, value: Any) -> None:
        self.setCurrentIndex(max(0, self.findData(value or "")))

    def is_busy(self) -> bool:
        return self.view().isVisible()


class Number(QSpinBox):
    """A whole number to type or step."""

    edited = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__(minimum=control.allowed.low, maximum=control.allowed.high, keyboardTracking=False)
        self.show_value(control.default)
        self.valueChanged.connect(lambda: self.edited.emit())

    def chosen(self) -> int:
        return self.value()

    def show_value(self, value: int) -> None:
        with QSignalBlocker(self):
            self.setValue(value)

    def is_busy(self) -> bool:
        return self.lineEdit().isModified()


class Decimal(QDoubleSpinBox):
    """A number of a wide range to type or step."""

    edited = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__(minimum=control.allowed.low, maximum=control.allowed.high, keyboardTracking=False)
        self.show_value(control.default)
        self.valueChanged.connect(lambda: self.edited.emit())

    def chosen(self) -> float:
        return self.value()

    def show_value(self, value: float) -> None:
        with QSignalBlocker(self):
            self.setValue(value)

    def is_busy(self) -> bool:
        return self.lineEdit().isModified()


class Text(QLineEdit):
    """A text to type; empty: the model's own."""

    edited = Signal()

    def __init__(self, control: Control) -> None:
        super().__init__(placeholderText=MODELS_OWN)
        self.editingFinished.connect(self._finish)

    def chosen(self) -> str:
        return self.text().strip()

    def show_value(self, value: str) -> None:
        self.setText(value)

    def is_busy(self) -> bool:
        return self.isModified()

    def _finish(self) -> None:
        if self.isModified():
            self.setModified(False)
            self.edited.emit()


class WheelGuard(QObject):
    """Keeps the mouse wheel from changing an editor that only happens to lie under the pointer while scrolling."""

    def eventFilter(self, widget: QWidget, event: QEvent) -> bool:
        if event.type() == QEvent.Wheel and not widget.hasFocus():
            event.ignore()
            return True
        return False


def editor(control: Control) -> QWidget:
    """The editor for a control."""
    kind = editor_kind(control)
    if kind == SLIDER:
        return Slider(control.allowed, control.default)
    return {INTEGER: Number, DECIMAL: Decimal, CHOICE: Choice, TEXT: Text}[kind](control)
