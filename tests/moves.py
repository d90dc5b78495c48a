"""Where the controls of an explorer can be moved to."""

import ipywidgets as ipw


def places(control: ipw.Widget) -> list[object]:
    """All values of a control."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if not hasattr(control, "min"):
        return [False, True]
    steps = round((control.max - control.min) / control.step)
    values = [control.min + k * control.step for k in range(steps + 1)]
    return [control.base**value for value in values] if isinstance(control, ipw.FloatLogSlider) else values
