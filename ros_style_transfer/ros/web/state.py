"""What all viewers know: the sections of the state.  Belongs to the event loop's thread."""

import math
from typing import Any, Dict, Mapping, Set

from .requests import View


class Viewer:
    """A browser that shows the page.

    Attributes:
        view: what it looks at.
    """

    view: View

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send changed sections of the state, which JSON can hold."""
        raise NotImplementedError


class State:
    """The sections of the state by name, and the viewers that are told of changes.

    Attributes:
        sections: the state.
        viewers: all browsers.
    """

    def __init__(self) -> None:
        self.sections: Dict[str, Any] = {}
        self.viewers: Set[Viewer] = set()

    def __getitem__(self, section: str) -> Any:
        return self.sections.get(section)

    def set(self, section: str, value: Any) -> None:
        """Change a section, and tell all viewers unless it is the same as before."""
        if section not in self.sections or self.sections[section] != value:
            self.sections[section] = value
            self.tell({section: value})

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell all viewers."""
        for viewer in list(self.viewers):
            viewer.tell(message)


def finite(value: float) -> Any:
    """A number as JSON can hold it: None if it is infinite or no number."""
    return value if math.isfinite(value) else None
