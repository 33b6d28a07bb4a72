"""An instrument: a box of sixteen resistors that pulses change."""

import numpy as np

from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.instruments.board.own_array import OwnArray
from xbarlab.instruments.limits import Limits


class StrangersBox(OwnArray):
    """A box of sixteen resistors on one cable."""

    def __init__(self, name, ohms=1e5, **station):
        most = Limits(set_volts_max=3.0, reset_volts_max=3.0)
        super().__init__(name, ArraySpec(name=name, rows=4, cols=4, cell="passive", limits=most), **station)
        self.g, self.rng = np.full((4, 4), 1.0 / ohms), np.random.default_rng(1)

    def get_idn(self):
        return {"vendor": "Strangers", "model": "Box", "serial": "1", "firmware": "0"}

    def measure(self, cells, look):
        return self.g[cells.slices] * look.volts * (1.0 + 0.001 * self.rng.standard_normal(cells.shape))

    def give(self, pulses):
        self.g[pulses.block.slices] *= np.exp(0.05 * pulses.volts * pulses.count)

    def let_go(self):
        """There is nothing to let go of in a drawing of a box."""
