"""What `xbarlab analyse` finds in data of any bench: unit and definition of every key; units that are no SI ones."""

from __future__ import annotations

FRACTION, COUNT, PULSES = "fraction", "count", "pulses/cell"

OWN_DATA: dict[str, tuple[str, str]] = {
    "v_form_std": ("V", "standard deviation over cells of the voltage at which they formed"),
    "said_formed_fraction": (FRACTION, "cells that the data say formed, over cells in the data; not proved by a RESET"),
    "r_formed_median": ("Ω", "resistance as soon as a cell was formed; median over cells that formed"),
    "set_opening": (
        "",
        "conductance on the way back over that on the way out, at the read voltage of the positive branch",
    ),
    "reset_opening": (
        "",
        "conductance on the way out over that on the way back, at the read voltage of the negative branch",
    ),
    "loop_area_share": (FRACTION, "area that the mean loop of a cell encloses, over the rectangle around it"),
    "cycle_r_on_median": ("Ω", "resistance after SET; median over cells of each cell's median over cycles"),
    "cycle_r_off_median": ("Ω", "resistance after RESET; median over cells of each cell's median over cycles"),
    "window_median": ("", "R_off/R_on of a cycle; median over cells of each cell's median over cycles"),
    "window_worst_cycles": ("", "R_off/R_on that 99 of 100 cycles of all cells exceed"),
    "on_c2c_std": (
        "",
        "standard deviation of ln R after SET within a cell, cycle to cycle, before it fails (one-way random-effects "
        "model)",
    ),
    "on_d2d_std": (
        "",
        "standard deviation of ln R after SET between cells, before they fail (one-way random-effects model)",
    ),
    "off_c2c_std": (
        "",
        "standard deviation of ln R after RESET within a cell, cycle to cycle, before it fails (one-way random-effects "
        "model)",
    ),
    "off_d2d_std": (
        "",
        "standard deviation of ln R after RESET between cells, before they fail (one-way random-effects model)",
    ),
    "cycles_measured": (COUNT, "cycles every cell was measured over"),
    "failed_cell_fraction": (
        FRACTION,
        "cells whose window R_off/R_on fell below 2 for three cycles in a row, over all",
    ),
    "said_success_fraction": (FRACTION, "programmed cells that the data say ended in their window, over all of them"),
    "reads_per_cell": ("", "readings that programming a cell took; mean"),
    "sets_per_cell": (PULSES, "SET pulses that programming a cell took; mean"),
    "resets_per_cell": (PULSES, "RESET pulses that programming a cell took; mean"),
    "pulses_per_cell_p99": (PULSES, "pulses that 99 of 100 cells need at most"),
    "levels": (COUNT, "windows of conductance that cells were programmed into"),
    "level_g_median": ("S", "conductance of the cells of a level; median"),
    "level_g_std": ("S", "conductance of the cells of a level; standard deviation"),
    "inside_fraction": (FRACTION, "cells whose last reading lies in their window, over cells programmed"),
    "misread_fraction": (
        FRACTION,
        "cells whose last reading is nearer to another window than to their own, over cells programmed",
    ),
    "shift_median": ("S", "conductance after minus before; median over cells"),
    "shift_relative_median": (FRACTION, "conductance after over before, minus 1; median over cells"),
    "shift_std": ("S", "standard deviation over cells of conductance after minus before"),
    "noise_rel": (FRACTION, "σ_I/I of a trace, the instrument's own floor not taken off; median over cells"),
    "rtn_stay_low": (
        "s",
        "mean time on the lower level of telegraph noise; median over cells that have two levels, of one with the "
        "interval of its jumps",
    ),
    "rtn_stay_high": ("s", "as rtn_stay_low, on the higher level"),
    "separable_bits": ("", "log2 of separable_levels"),
    "r_read_median": ("Ω", "1/G of the cells of a map; median"),
    "row_spread": ("", "standard deviation of ln R between rows, each by its mean (two-way random-effects model)"),
    "col_spread": ("", "standard deviation of ln R between columns, each by its mean (two-way random-effects model)"),
    "cell_spread": (
        "",
        "standard deviation of ln R of cells about their row and column (two-way random-effects model)",
    ),
    "lines_apart": (
        COUNT,
        "rows and columns whose mean R differs by a factor of two or more from the others of their kind, at 95 % "
        "confidence",
    ),
    "open_fraction": (FRACTION, "cells that conduct less than a hundredth of the map's median, over cells in the map"),
    "pulse_threshold_mean": (
        "V",
        "amplitude (or gate, where that is swept) of the first pulse after which a cell stays 10 % beyond the start "
        "of its "
        "sweep; mean over cells of the cell means",
    ),
    "pulse_threshold_c2c_std": (
        "V",
        "standard deviation of pulse_threshold within a cell (one-way random-effects model)",
    ),
    "pulse_threshold_d2d_std": (
        "V",
        "standard deviation of pulse_threshold between cells (one-way random-effects model)",
    ),
    "no_pulse_move_fraction": (FRACTION, "sweeps that never moved their cell by 10 %, over all; never imputed"),
    "pulse_change_median": ("", "conductance at the end of a sweep over that at its start; median over cells"),
}
