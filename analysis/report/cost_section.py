"""The section of the report on what a run cost, step by step."""

from __future__ import annotations

from ..plots.plots import cost_bars
from .report import Section
from .run_tables import RunTables


def cost(run: RunTables) -> Section | None:
    """Show what each step cost the chip, the wire and the clock."""
    from pandas import DataFrame

    costs = {step.id: dict(step.cost) for step in run.steps}
    if not costs:
        return None
    table = DataFrame(
        {
            "step": list(costs),
            **{key: [int(one[key]) for one in costs.values()] for key in ("transactions", "slots", "pulses")},
            "chip time [s]": [one["chip_seconds"] for one in costs.values()],
            "wall clock [s]": [one["seconds"] for one in costs.values()],
        }
    )
    about = "Messages that made the array act, slots spent on the chip, and time the chip was under bias."
    return Section("Cost", about, [("Cost of each step.", cost_bars(costs))], [("Cost of each step.", table)])
