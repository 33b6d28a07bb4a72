"""xbarlab: control, measure, program and train memristor crossbar chips.

The map of the house (an import only goes down, DESIGN §1):

``cli``          the composition root: the only place that knows everyone
``runbooks``     what an operator runs: Markdown for people, front matter for the machine
``protocols``    what we do to a chip: form, read, sweep, program
``instruments``  what the lab can do: the ``CrossbarArray`` capability, drivers, limits, stations
``analysis``     pure functions from tables and arrays to numbers and figures
``mockhw``       the other end of the cable: device physics, chips, simulated instruments

``instruments``, ``analysis`` and ``mockhw`` do not know each other; drivers and
simulated instruments meet only on the wire.

Three lines from a notebook::

    from xbarlab import open_bench, dc_sweep, DcSweepPlan
    with open_bench("mock_ta_hfo2") as bench:
        dc_sweep(bench.array, DcSweepPlan(cells="0:2,0:2"), run=None).plot()

This module stays light: every public name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "open_bench": "runbooks.stations",
    "Bench": "instruments.station.station",
    "CrossbarArray": "instruments.capabilities",
    "PulseMap": "instruments.capabilities",
    "Block": "instruments.block",
    "DcSweepPlan": "protocols.measure.dc_sweep",
    "dc_sweep": "protocols.measure.dc_sweep",
    "FormingPlan": "protocols.forming.forming",
    "form": "protocols.forming.forming",
    "PulseResponsePlan": "protocols.measure.pulse_response",
    "pulse_response": "protocols.measure.pulse_response",
    "HalfSelectPlan": "protocols.measure.disturb",
    "half_select_disturb": "protocols.measure.disturb",
    "ReadSchemesPlan": "protocols.measure.read_schemes",
    "read_schemes": "protocols.measure.read_schemes",
    "ReadArrayPlan": "protocols.measure.read_array",
    "read_array": "protocols.measure.read_array",
    "ReadVerifyPlan": "protocols.programming.read_verify",
    "read_verify": "protocols.programming.read_verify",
    "YieldMapPlan": "protocols.measure.yield_map",
    "yield_map": "protocols.measure.yield_map",
    "joined": "protocols.keeping.joined",
    "resume_run": "runbooks.runner.resume",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; public names are: {', '.join(sorted(_HOMES))}"
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
