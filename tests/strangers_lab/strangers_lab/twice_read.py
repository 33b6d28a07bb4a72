"""A step: how well two reads of the same cells agree."""

import numpy as np
from pydantic import Field

from xbarlab import Block, Plan, step


class TwiceReadPlan(Plan):
    """Cells that are read twice."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'")
    average: int = Field(default=4, ge=1, description="conversions per cell and read")


@step(metrics={"read_scatter": "standard deviation between two reads of a cell; median over cells [S]"})
def twice_read(array, plan: TwiceReadPlan, run):
    """Read cells twice and say how far apart the reads are."""
    block = Block.parse(plan.cells, array.spec)
    with run.measure("read", range(2), block, conductance="S") as work:
        for _ in work:
            work.keep(conductance=array.read(block, average=plan.average).conductance)
    return work.result(read_scatter=np.median(work["conductance"].std(axis=0)))
