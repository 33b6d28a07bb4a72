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
    "Bench": "instruments.station",
    "CrossbarArray": "instruments.capabilities",
    "PulseMap": "instruments.capabilities",
    "Block": "instruments.array_spec",
    "DcSweepPlan": "protocols.dc_sweep",
    "dc_sweep": "protocols.dc_sweep",
    "FormingPlan": "protocols.forming",
    "form": "protocols.forming",
    "PulseResponsePlan": "protocols.pulse_response",
    "pulse_response": "protocols.pulse_response",
    "HalfSelectPlan": "protocols.disturb",
    "half_select_disturb": "protocols.disturb",
    "ReadSchemesPlan": "protocols.read_schemes",
    "read_schemes": "protocols.read_schemes",
    "ReadArrayPlan": "protocols.read_array",
    "read_array": "protocols.read_array",
    "ReadVerifyPlan": "protocols.read_verify",
    "read_verify": "protocols.read_verify",
    "YieldMapPlan": "protocols.yield_map",
    "yield_map": "protocols.yield_map",
    "joined": "protocols.joined",
    "resume_run": "runbooks.resume",
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
