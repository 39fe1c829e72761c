"""The table of controls as the page gets it: what the editors are made from."""

from typing import Any, Dict, List

from ...controls import CONTROLS, Control, Range, in_groups
from ...models.registry import ALL_LEVELS, MODELS
from ...ros_common.editing import MAX_SIDE_FIELD, MODELS_OWN, editor_kind, label_for


def describe_controls() -> List[Dict[str, Any]]:
    """The live controls and ``max_side`` by their groups: ``[{"group": ..., "controls": [...]}, ...]``."""
    live = [*(control for control in CONTROLS.values() if control.live), MAX_SIDE_FIELD]
    return [
        {"group": group, "controls": [_describe(control) for control in controls]}
        for group, controls in in_groups(live)
    ]


def describe_models() -> Dict[str, Any]:
    """What the editors need to know of each model."""
    return {
        name: {"levels": spec.levels, "method": spec.method, "swap_levels": spec.swap_levels}
        for name, spec in MODELS.items()
    }


def _describe(control: Control) -> Dict[str, Any]:
    described = {
        "name": control.name,
        "label": label_for(control.name),
        "help": control.help,
        "kind": "levels" if control.name == "level_strength" else editor_kind(control),
        "default": control.default,
        "resets": control.name in CONTROLS,
        "own": MODELS_OWN if control.default is None else "",
    }
    if described["kind"] == "levels":
        described["levels"] = ALL_LEVELS
    elif isinstance(control.allowed, Range):
        described["low"], described["high"] = control.allowed
    elif control.allowed:
        described["choices"] = control.allowed
    return described
