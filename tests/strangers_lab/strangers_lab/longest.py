"""An analysis: one more section of the report."""

from xbarlab.analysis.report.report import Section


def longest(run):
    """Say which step took longest."""
    slowest = max(run.steps, key=lambda one: one.cost["seconds"], default=None)
    return Section("The slowest step", f"{slowest.id} took longest.") if slowest else None
