"""What every key of a summary means: its unit and its definition, in one place for reports, tables and tests.

The definitions are those of `docs/quantities.md`, shortened to one sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..common.errors import RefusedError
from .network_quantities import NETWORKS
from .own_data_quantities import COUNT, FRACTION, OWN_DATA, PULSES

LOW, HIGH = "_ci95_low", "_ci95_high"

QUANTITIES: dict[str, tuple[str, str]] = {
    "yield_fraction": (FRACTION, "switching cells over all cells"),
    "formed_fraction": (
        FRACTION,
        "cells that after forming read above the formed conductance and complete one RESET and one SET, "
        "over cells attempted",
    ),
    "v_form_mean": ("V", "mean source voltage of the pulse or step at which the cell first read formed"),
    "disturbed_cells": (
        COUNT,
        "cells whose conductance changed by a factor of 1.5 or more while only other cells were written",
    ),
    "v_set_mean": (
        "V",
        "first rising voltage at which I/V crosses the geometric mean of that cycle's off and on conductance; "
        "mean over cells of the cell means",
    ),
    "v_set_c2c_std": ("V", "standard deviation of V_SET within a cell, cycle to cycle (one-way random-effects model)"),
    "v_set_d2d_std": ("V", "standard deviation of V_SET between cells (one-way random-effects model)"),
    "no_set_fraction": (FRACTION, "cycles that did not SET over all cycles measured; never imputed"),
    "v_reset_mean": (
        "V",
        "first voltage on the negative branch at which I/V falls through the geometric mean of that cycle's on and off "
        "conductance; mean over cells of the cell means",
    ),
    "v_reset_c2c_std": (
        "V",
        "standard deviation of V_RESET within a cell, cycle to cycle (one-way random-effects model)",
    ),
    "v_reset_d2d_std": ("V", "standard deviation of V_RESET between cells (one-way random-effects model)"),
    **{
        f"v_{way}_pulse_{what}": ("V", meaning)
        for way, side in (("set", "positive"), ("reset", "negative"))
        for what, meaning in (
            (
                "mean",
                f"amplitude of the {side} leg at which the conductance read after a pulse crosses the geometric mean "
                "of before the leg and after it; mean over cells of the cell means",
            ),
            ("c2c_std", f"standard deviation of v_{way}_pulse within a cell, loop to loop (one-way random effects)"),
            ("d2d_std", f"standard deviation of v_{way}_pulse between cells (one-way random-effects model)"),
        )
    },
    **{
        f"no_{way}_pulse_fraction": (FRACTION, f"loops of pulses without a {way.upper()} over all loops; never imputed")
        for way in ("set", "reset")
    },
    "forming_loops": (
        COUNT,
        "loops that formed a virgin cell, or came before the one that did; they are in no other figure of their step",
    ),
    "no_reset_fraction": (FRACTION, "cycles that did not RESET over all cycles measured; never imputed"),
    "r_on_median": ("Ω", "1/G at the read voltage after SET; median over cells"),
    "r_off_median": ("Ω", "1/G at the read voltage after RESET; median over cells"),
    **{
        f"answer_{way}_median": (
            FRACTION,
            f"change of G by one {pulse} over the range, positive where it goes {way}; mean of a cell over places in "
            "the range, median over cells",
        )
        for way, pulse in (("up", "SET"), ("down", "RESET"))
    },
    **{
        f"answer_{way}_wrong_fraction": (
            FRACTION,
            f"single {pulse}s that move a cell the wrong way by more than two standard deviations of answer_noise",
        )
        for way, pulse in (("up", "SET"), ("down", "RESET"))
    },
    "answer_asymmetry": ("", "(down − up)/(|down| + |up|) of answer_down_median and answer_up_median"),
    "answer_noise": (
        FRACTION,
        "standard deviation of the difference of two reads without a pulse between them, over the range",
    ),
    "answer_steps": (COUNT, "how many of the larger of both median steps the range holds"),
    "answer_missed_fraction": (FRACTION, "pulses before which a cell was outside the range, over all; left out"),
    "answer_cells": (COUNT, "cells behind the answers to one pulse"),
    "potentiation_ratio": ("", "G after the SET train over G before it; median over cells"),
    "depression_ratio": ("", "G after the RESET train over G at its start; median over cells"),
    "ltp_nonlinearity": ("", "N/A of G(n) = G0 + B(1−exp(−n/A)) over N SET pulses; median over cells"),
    "ltd_nonlinearity": ("", "N/A of G(n) = G0 + B(1−exp(−n/A)) over N RESET pulses; median over cells"),
    "ltp_alpha": ("", "α of the α form fitted to the SET train, 1 for a straight line; median over cells"),
    "ltd_alpha": ("", "α of the α form fitted to the RESET train, 1 for a straight line; median over cells"),
    "symmetry_point": ("", "normalised conductance at which the mean up-step equals the mean down-step"),
    "symmetry_point_fraction": (FRACTION, "cells that have a symmetry point, over all"),
    "symmetry_point_c2c_std": (
        "",
        "standard deviation of the symmetry points of single cycles within a cell (one-way random-effects model)",
    ),
    "g_min": ("S", "lowest conductance of a cell's mean trains; median over cells"),
    "g_max": ("S", "highest conductance of a cell's mean trains; median over cells"),
    "step_c2c_rel": (
        "",
        "standard deviation of the step of one pulse within a cell, read noise taken off, over the mean step, in the "
        "middle half of its range; median over cells",
    ),
    "step_asymmetry": (
        "",
        "(up-step − down-step)/mean of both, of pulses that begin in the middle half of a cell's range; median over "
        "cells",
    ),
    "pulse_fit_failed_fraction": (FRACTION, "trains of which one of the two forms could not be fitted, over all"),
    **{
        f"{pulse.lower()}_volts_1us": (
            "V",
            f"magnitude at which one {pulse} of 1 µs, from its band, changes half of the cells by the plan's factor",
        )
        for pulse in ("SET", "RESET")
    },
    **{
        f"{pulse.lower()}_volts_per_decade": ("V", f"by how much {pulse.lower()}_volts_1us falls per decade of width")
        for pulse in ("SET", "RESET")
    },
    "kinetics_out_of_band_fraction": (FRACTION, "cells that did not reach their band before a pulse, over all points"),
    "half_select_change_median": (
        FRACTION,
        "relative change of cells on the lines of a written one at the end of the train, the worst of states and "
        "polarities; median over cells",
    ),
    "half_select_change_worst": (
        FRACTION,
        "relative change of cells on the lines of a written one at the end of the train, the worst of states and "
        "polarities; 99th percentile over cells",
    ),
    **{
        f"{kind}_safe_volts": (
            "V",
            f"largest amplitude of {what} at which 99 % of the cells move less than 1 % in 10⁵ pulses, both states, "
            "both polarities",
        )
        for kind, what in (("half_select", "half-selects of 200 ns"), ("read", "reads"))
    },
    **{
        f"{kind}_change_per_decade": (
            FRACTION,
            f"ΔG/G per decade of {what} at the largest amplitude tried, the worst of states and polarities; median "
            "over cells",
        )
        for kind, what in (("half_select", "half-selects"), ("read", "reads"))
    },
    "vmm_rmse_fs": (
        FRACTION,
        "RMS of measured current − Gᵀ·V over the converters' full scale in use, random inputs, G as read just before",
    ),
    "vmm_rmse_fs_target": (FRACTION, "the same against the target conductances"),
    "vmm_effective_bits": ("", "log2(1/(vmm_rmse_fs·√12))"),
    "vmm_column_gain": ("", "slope of measured current against Gᵀ·V of the read conductances; median over columns"),
    "vmm_column_gain_std": ("", "standard deviation of that slope between columns"),
    "vmm_column_offset_rms": ("A", "offset of measured current against Gᵀ·V; RMS over columns"),
    "vmm_wire_share": (
        FRACTION,
        "part of the squared error against read G that the map of single-row products explains: wires and drivers",
    ),
    "vmm_overflow_fraction": (FRACTION, "products of random vectors beyond the converters' range, over all"),
    "wire_ohm_per_segment": ("Ω", "resistance between neighbouring crosspoints along a line"),
    "line_contact_ohm": ("Ω", "resistance in front of the first segment of a row: driver, contact and lead"),
    **{
        f"read_error_{scheme}": (FRACTION, f"read in scheme {scheme} over the array's own scheme, minus 1; median")
        for scheme in ("virtual_ground", "ground", "float", "row_sense")
    },
    "programmed_fraction": (FRACTION, "healthy cells within half a level spacing of target at the end"),
    "programmed_fraction_60s": (
        FRACTION,
        "healthy cells within half a level spacing of target on a re-read 60 s later",
    ),
    "programming_sigma": ("S", "standard deviation of G_final − G_target over healthy cells"),
    **{
        key: (unit, f"largest number of levels of which the median healthy cell misreads at most 1 % of its reads{end}")
        for key, unit, end in (
            ("separable_levels", "", ", over the plan's cycles"),
            ("levels_200ns", "", ", over 20 reprogramming cycles or more with pulses of 200 ns"),
        )
    },
    "bits_200ns": ("", "log2 of levels_200ns: bits a cell can hold"),
    "level_error_fraction": (FRACTION, "reads beyond the midpoint to a neighbour, all levels programmed, all cells"),
    "level_accepted_fraction": (FRACTION, "programmings to a level that read–verify accepted, over all"),
    "level_sigma": ("S", "RMS of G_settled − level over accepted programmings"),
    "level_programming_sigma": ("S", "part of level_sigma there is when programming ends, read noise taken off"),
    "level_settling_sigma": ("S", "part of level_sigma that comes between the end of programming and the judged read"),
    "level_noise_sigma": ("S", "part of level_sigma that is noise of a read, from two in a row"),
    "level_c2c_std": ("S", "standard deviation of G_settled within a cell, each level about its mean (random effects)"),
    "level_d2d_std": ("S", "standard deviation of that between cells (random effects)"),
    "level_pulses": (PULSES, "pulses one programming to a level takes; mean over cells"),
    "pulses_per_cell": (PULSES, "all SET and RESET pulses, initialisation included, over cells attempted"),
    "ispp_pulses_per_cell": (
        PULSES,
        "pulses per cell of incremental-staircase programming with fixed start, step and width: the best of a "
        "printed scan at equal success, from the same initial state",
    ),
    "ispp_programmed_fraction": (FRACTION, "programmed_fraction reached by that incremental-staircase programming"),
    "ispp_success_fraction": (FRACTION, "success_fraction reached by that incremental-staircase programming"),
    **{
        f"{way}{name}_{bits}bit": (unit, f"{what}{by}, {2**bits} levels")
        for bits in (2, 3)
        for way, by in (
            ("", ", by read–verify"),
            ("ispp_", ", by the best of a scan of amplitude staircases"),
            ("gate_staircase_", ", by the best of a scan of staircases of the SET's gate"),
        )
        for name, unit, what in (
            (
                "pulses_per_cell",
                PULSES,
                "all pulses from the common start, initialisation included, over cells attempted",
            ),
            ("success", FRACTION, "cells in their window at the last delayed re-verify over healthy cells attempted"),
            ("energy_per_cell", "J", "Σ V²·G·width of all pulses, mean over cells attempted"),
        )
    },
    "retention_drift_nu": (
        "",
        "ν of G(t) = G(t0)·(t/t0)^−ν of each cell since its last write, wander in ln t allowed for; median over cells "
        "and levels",
    ),
    "retention_sigma": (
        "S",
        "standard deviation over cells of G(last read) − G(first read), each level about its own mean; read noise is "
        "in it",
    ),
    "retention_extrapolated_change": (
        FRACTION,
        "G at the age the plan extrapolates to over G at the first read, minus 1, as each cell's own ν has it; median "
        "over cells",
    ),
    "retained_fraction": (FRACTION, "cells that at the last read are still read as the level they had at the first"),
    "retention_cells": (COUNT, "cells behind the retention figures"),
    "endurance_first_failure": (
        "cycles",
        "first cycle at which any cell's R_off/R_on falls below 2 for three cycles in a row; none when no cell failed",
    ),
    "endurance_cycles": (
        "cycles",
        "SET/RESET cycles that every cell has had which did not fail; the most of any cell when all did",
    ),
    "endurance_cells": (COUNT, "cells behind the endurance figures: those that had a window at the first look"),
    "endurance_failed_fraction": (FRACTION, "cells that failed over cells cycled"),
    "endurance_window_first": ("", "R_off/R_on of the first cycle read; median over cells"),
    "endurance_window_last": ("", "R_off/R_on of the last cycle at which each cell was read; median over cells"),
    "endurance_window_worst": ("", "smallest over cells of the last R_off/R_on"),
    "endurance_weibull_shape": (
        "",
        "shape of a Weibull law of the cycles to failure, cells that did not fail censored; none with fewer than three",
    ),
    "endurance_weibull_scale": ("cycles", "scale of that law: the cycle by which 63 % of the cells have failed"),
    "read_noise_rel": (
        FRACTION,
        "σ_I/I of a sampled current, the instrument's own floor taken off in quadrature; median over cells",
    ),
    "read_noise_floor_rel": (
        FRACTION,
        "the instrument's own floor over the current it was taken off; median over cells",
    ),
    "one_over_f_exponent": (
        "",
        "β of S(f) = A·f^−β + W in the stated band; median over cells with one level and more than white noise",
    ),
    "rtn_cell_fraction": (FRACTION, "cells of which two levels are preferred over one, by a BIC lower by 10"),
    "rtn_amplitude_rel": (FRACTION, "distance of the two levels over the mean current; median over such cells"),
    "noise_cells": (COUNT, "cells that were sampled"),
    "g_read_median": ("S", "median conductance of an array read"),
    "overflow_cells": (COUNT, "cells of an array read whose current was beyond the largest range"),
    "pulse_r_on_median": ("Ω", "1/G after the SET pulse of the yield map; median over switching cells"),
    "pulse_r_off_median": ("Ω", "1/G after the RESET pulse of the yield map; median over switching cells"),
    "cells_attempted": (COUNT, "cells that programming was tried on"),
    "iterations": (COUNT, "readings the read–verify loop took"),
    "steps_planned": (COUNT, "steps the runbook asked for"),
    "steps_done": (COUNT, "steps that were completed, or left out"),
    "left_out": (COUNT, "1: the step was left out, for this bench lacks what it takes"),
    "success_fraction": (
        FRACTION,
        "cells accepted and within 1.25 windows at the last delayed re-verify, over healthy cells attempted",
    ),
    "transactions": (COUNT, "messages that made the array do something"),
    "slots": (COUNT, "pulse or read slots the array spent"),
    "pulses": (COUNT, "pulses delivered to cells, all steps together"),
    "chip_seconds": ("s", "simulated or real time the chip was biased"),
    "seconds": ("s", "wall-clock time of the run"),
    **NETWORKS,
    "seed": ("", "seed of everything random on the host and, in process, on the mock chip"),
    **OWN_DATA,
}

_DEFINED: dict[str, tuple[str, str]] = {}


def define(name: str, definition: str) -> None:
    """Say what a metric of somebody else's step is; a unit may stand at the end: ``"largest change of a cell [S]"``.

    Raises
    ------
    RefusedError
        For what is no name, has no definition, or is defined here already as something else.
    """
    text, _, rest = definition.strip().rpartition(" [")
    text, unit = (text.strip(), rest[:-1]) if rest.endswith("]") and text else (definition.strip(), "")
    unit = "" if unit == "1" else unit
    if not name.isidentifier() or name.endswith((LOW, HIGH)):
        raise RefusedError(f"metric {name!r} must be a word of letters, digits and _, without {LOW} or {HIGH}")
    if not text:
        raise RefusedError(f"metric {name!r} has no definition: say in one sentence what it is")
    if name in QUANTITIES and QUANTITIES[name] != (unit, text):
        raise RefusedError(f"metric {name!r} is taken: it is “{QUANTITIES[name][1]}”; choose another name")
    if name not in QUANTITIES:
        _DEFINED[name] = (unit, text)


SI_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
_PREFIXED_UNITS = {"V", "A", "S", "Ω", "W", "J", "F", "Hz", "s"}


@dataclass(frozen=True)
class Quantity:
    """What one summary key is.

    Parameters
    ----------
    key : str
        As it stands in the summary.
    step : str
        Id of the step it belongs to, "" when the key carries none.
    name : str
        The quantity without step and suffix.
    bound : str
        "low" or "high" for an end of the 95 % interval, else "".
    unit, definition : str
        Empty for a key this version does not know.
    """

    key: str
    step: str
    name: str
    bound: str
    unit: str
    definition: str


def describe(key: str) -> Quantity:
    """Take a summary key apart, e.g. `iv.v_set_mean_ci95_low` -> step iv, name v_set_mean, bound low, unit V."""
    step, _, rest = key.rpartition(".")
    bound = "low" if rest.endswith(LOW) else "high" if rest.endswith(HIGH) else ""
    name = rest.removesuffix(LOW).removesuffix(HIGH)
    unit, definition = QUANTITIES.get(name) or _DEFINED.get(name, ("", ""))
    return Quantity(key, step, name, bound, unit, definition)


def format_value(value: float, unit: str = "", digits: int = 4, *, like: float | None = None) -> str:
    """Write a number for people: SI prefix where the unit takes one, per cent for fractions, separators for counts.

    `like` is a number whose prefix is used instead of the value's own: the ends of an interval match its middle.
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if unit == FRACTION:
        return _minus(f"{value * 100:.{2 if value in {0.0, 1.0} or abs(value) < 0.9995 else 3}f} %")
    if unit == COUNT or (unit == "" and float(value).is_integer()):
        return _minus(f"{value:,.0f}" if unit == COUNT else f"{value:.0f}")
    factor, prefix = 1.0, ""
    model = value if like is None or not math.isfinite(like) else like
    size = float(f"{abs(model):.{digits - 1}e}")  # rounded first, or 999.96 µS would print as 1000 µS
    if size > 0.0 and unit in _PREFIXED_UNITS and not (unit in {"V", "s"} and 0.1 <= size < 1e6):
        factor, prefix = next((pair for pair in SI_PREFIXES if size >= pair[0]), SI_PREFIXES[-1])
    scaled = float(f"{value / factor:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(scaled)) + 1e-12)) if scaled else 0
    plain = f"{scaled:,.{decimals}f}" if decimals < 9 else f"{scaled:.{digits - 1}e}"
    return _minus(f"{plain} {prefix}{'' if unit == PULSES else unit}".strip())


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
