"""Train an LSTM in situ to forecast airline passengers, beside its float twin and what needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....instruments.capabilities import CrossbarArray, FloatArray
from ...keeping.run import Run
from ..layers.weight_mapping import LayerRequest
from ..tasks.airline import TRAIN_STEPS, Series, baselines, differenced_series, passengers, rmse, scaled_series
from ..threads import one_thread
from .training_plan import TrainingPlan, host_optimiser
from .training_record import TrainingRecord, train_in_units

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from torch import Tensor, nn

    from ....analysis.report.report import Section


class AirlinePlan(TrainingPlan):
    """Published settings by default: 1 → LSTM 15 → 1, SGD with momentum, 800 epochs of one update each."""

    preparation: Literal["scaled", "differenced"] = Field(
        default="scaled", description="months scaled to 0…1 as published, or changes of the seasonal log ratio"
    )
    window: int = Field(default=1, ge=1, le=36, description="months a forecast sees, where differenced")
    hidden: int = Field(default=15, ge=1, description="LSTM units")
    epochs: int = Field(default=800, ge=1, description="updates, each from all training months")
    rate: float = Field(default=0.01, gt=0, description="learning rate")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of the host's SGD")
    settle: int = Field(
        default=0, ge=0, description="steps at most, after the last, until the training loss is among the best tenth"
    )

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        simple = {"persistence_rmse", "seasonal_naive_rmse", "seasonal_ratio_rmse", "linear_ar13_rmse"}
        found = super().measures() | {"test_rmse", "train_rmse"} | simple
        twin = {"float_twin_train_rmse", "float_twin_test_rmse", "test_rmse_over_twin"}
        return found | twin if self.twin else found

    @property
    def features(self) -> int:
        """Inputs per step."""
        return 1 if self.preparation == "scaled" else self.window

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → 4·hidden and [h, 1] → 1, plus rows above minus rows, as published."""
        return [
            LayerRequest("lstm", self.features + self.hidden + 1, 4 * self.hidden, "stacked", copies_down=self.copies),
            LayerRequest("dense", self.hidden + 1, 1, "stacked", copies_down=self.copies),
        ]

    def steps_max(self) -> int:
        """Return the updates, settling included."""
        return self.epochs + self.settle

    def vectors_per_step(self) -> int:
        """Return the vectors of one pass over all months."""
        return 2 * 143

    def series(self) -> Series:
        """Return the data as this plan prepares them."""
        months = passengers()
        return scaled_series(months) if self.preparation == "scaled" else differenced_series(months, self.window)


@dataclass(frozen=True, kw_only=True)
class AirlineResult:
    """Forecasts [thousand] by the array and by its float twin, and what training took.

    ``forecast`` and ``twin_forecast`` are [steps], ``month`` the index each is for, ``train`` the steps trained on.
    """

    record: TrainingRecord
    months: FloatArray
    month: NDArray[np.intp]
    train: NDArray[np.bool_]
    forecast: FloatArray
    twin_forecast: FloatArray | None
    figures: dict[str, float]

    @property
    def frame(self) -> DataFrame:
        """One line per month that is forecast [thousand]."""
        from pandas import DataFrame

        table = {"month": self.month, "passengers": self.months[self.month], "forecast": self.forecast}
        if self.twin_forecast is not None:
            table["float_twin"] = self.twin_forecast
        return DataFrame({**table, "trained_on": self.train})

    def plot(self) -> Figure:
        """Return the forecast beside the months."""
        from ....analysis.networks.training import forecast_figure

        lines = {"array": self.forecast}
        if self.twin_forecast is not None:
            lines["float twin"] = self.twin_forecast
        first = TRAIN_STEPS + 1
        return forecast_figure(self.months, self.month, lines, first_test=first, first_month="0 is January 1949")

    def metrics(self) -> dict[str, float]:
        """Return the errors [thousand] and what they are compared with, as docs/quantities.md defines them."""
        return {**self.figures, **self.record.metrics()}

    def section(self) -> Section:
        """Return forecast, learning curve, floor plan and conductances as a part of the report."""
        from pandas import DataFrame

        from ....analysis.report.report import Section

        names = {
            "test_rmse": "LSTM on the array",
            "float_twin_test_rmse": "its float twin",
            "persistence_rmse": "persistence: last month again",
            "seasonal_naive_rmse": "seasonal naive: same month last year",
            "seasonal_ratio_rmse": "seasonal ratio: y[t−12]·y[t−1]/y[t−13]",
            "linear_ar13_rmse": "linear AR(13) on logarithms",
        }
        rows = {name: key for key, name in names.items() if key in self.figures}
        table = DataFrame({"forecast": list(rows), "test RMSE [thousand]": [self.figures[k] for k in rows.values()]})
        rivals = {"float_twin_test_rmse": "float twin", "persistence_rmse": "last month again"}
        lines = {name: self.figures[key] for key, name in rivals.items() if key in self.figures}
        beside = ", ".join(f"{value:.1f} by {name}" for name, value in lines.items())
        text = (
            f"One step ahead on the last 48 months: {self.figures['test_rmse']:.1f} thousand passengers RMS error in "
            f"situ ({beside}). Every "
            "forecast was multiplied on the array; the host never used its own copy of the weights for it."
        )
        return Section(
            "LSTM trained on the array: airline passengers",
            text,
            [("One-step-ahead forecasts.", self.plot()), *self.record.pictures(lines)],
            [("Errors on the test months.", table), self.record.cost_table()],
            leads=True,
        )

    def __repr__(self) -> str:
        return f"<AirlineResult: test RMSE {self.figures['test_rmse']:.1f} thousand after {self.record.steps} steps>"


def train_lstm_airline(array: CrossbarArray, plan: AirlinePlan, run: Run | None = None) -> AirlineResult:
    """Train an LSTM in situ to forecast airline passengers; a unit of work is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    with one_thread():
        return _train(array, plan, run)


def _train(array: CrossbarArray, plan: AirlinePlan, run: Run | None) -> AirlineResult:
    import torch

    from ..layers.array_weights import ArrayWeights
    from ..networks.lstm import array_regressor, twin_regressor
    from ..trainer import ArrayTrainer

    keep = Run.of(run)
    months, series = passengers(), plan.series()
    sigmoid = plan.preparation == "scaled"
    x = torch.tensor(series.x[:, None, :], dtype=torch.float32)
    y = torch.tensor(series.y, dtype=torch.float32)
    chosen = torch.tensor(series.train)

    def loss(model: nn.Module, inputs: Tensor, wanted: Tensor) -> Tensor:
        return 0.5 * ((model(inputs)[:, 0] - wanted)[chosen] ** 2).sum()

    def forecast(model: nn.Module) -> FloatArray:
        with torch.no_grad():
            return series.passengers(model(x)[:, 0].numpy().astype(np.float64))

    floor = plan.floor(array.spec, keep.chip.healthy_of(array), keep.chip.shorted)
    weights = ArrayWeights(array, floor, siemens=plan.siemens, read_back=plan.read_back)
    net = array_regressor(weights, plan.features, sigmoid=sigmoid)
    make, _ = host_optimiser(plan, "sgd", plan.rate, plan.momentum)
    trainer = ArrayTrainer(
        net, weights, plan.update_rule(), make, loss,
        seed=keep.seed, read_average=plan.read_average, reverse=plan.backward == "array",
    )  # fmt: skip
    losses: list[float] = []

    def advance(step: int) -> dict[str, float] | None:
        enough = -np.inf
        if step >= plan.epochs:  # settling: stop where the array happens to stand well, judged by training months
            enough = float(np.quantile(losses[-100:], 0.1))
        value = trainer.step(x, y, unless=enough)
        losses.append(value)
        return None if value <= enough else {"train_loss": value}

    def twin() -> dict[str, FloatArray]:
        model = twin_regressor(plan.features, plan.hidden, sigmoid=sigmoid, seed=keep.seed)
        optimiser = make(list(model.parameters()))
        for _ in range(plan.epochs):
            optimiser.zero_grad()
            loss(model, x, y).backward()  # pyright: ignore[reportUnknownMemberType]
            optimiser.step()
        return {"forecast": forecast(model)}

    def error_of(f: FloatArray) -> tuple[float, float]:
        return rmse(f, months, series.month, series.train), rmse(f, months, series.month, ~series.train)

    names = [f"pass {number}" for number in range(plan.evaluations)]
    record = train_in_units(
        keep,
        trainer,
        plan,
        advance,
        losses,
        curve_name="test_rmse",
        evaluate=lambda: error_of(forecast(net))[1],
        measure={name: lambda: {"forecast": forecast(net)} for name in names},
        compare={"twin": twin} if plan.twin else {},
    )
    passes = [record.measured[name]["forecast"] for name in names]
    train_error, test_error = np.median(np.asarray([error_of(f) for f in passes]), axis=0).tolist()
    figures = {"test_rmse": test_error, "train_rmse": train_error}
    twin_forecast = record.measured["twin"]["forecast"] if plan.twin else None
    if twin_forecast is not None:
        figures["float_twin_train_rmse"], figures["float_twin_test_rmse"] = error_of(twin_forecast)
        figures["test_rmse_over_twin"] = test_error / figures["float_twin_test_rmse"]
    figures |= baselines(months)
    return AirlineResult(
        record=record,
        months=months,
        month=series.month,
        train=series.train,
        forecast=np.median(passes, axis=0),
        twin_forecast=twin_forecast,
        figures=figures,
    )
