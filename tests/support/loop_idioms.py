"""What torch users do in loops of their own: the same code on the array and on its float twin; and what is refused.

Cells are without noise and written by the two-pulse rule, so that only converters are between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.convert import Converted, convert
from xbarlab.protocols.training.optimizer import ArrayOptimizer
from xbarlab.protocols.training.rules.outer_rules import OuterProduct
from xbarlab.protocols.training.rules.update_rules import TwoPulse


@dataclass
class Side:
    """The model of one side, and how that side makes an optimiser and takes weights from elsewhere."""

    model: nn.Module
    optimiser: Callable[[Any], Any]
    settled: Callable[[], None] = lambda: None
    cut: Callable[[Callable[[], None]], None] = lambda step: step()


Idiom = Callable[[Side], None]


def network(seed: int = 0) -> nn.Module:
    """Return a small network with two layers for the array."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def examples(n: int = 24) -> tuple[Tensor, Tensor]:
    """Return inputs [n, 4] and classes [n]."""
    made = torch.Generator().manual_seed(5)
    x = 2.0 * torch.rand(n, 4, generator=made) - 1.0
    return x, (x[:, 0] > 0.0).long() + (x[:, 1] > 0.0).long()


def _sgd(side: Side, lr: float = 0.2) -> Any:
    return side.optimiser(torch.optim.SGD(side.model.parameters(), lr=lr))


def _loss(side: Side, x: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(side.model(x), y)


def _step(side: Side, optimiser: Any, x: Tensor, y: Tensor) -> None:
    optimiser.zero_grad()
    _loss(side, x, y).backward()
    optimiser.step()


def own_loop(side: Side) -> None:
    """A loop of one's own."""
    x, y = examples()
    optimiser = _sgd(side)
    for _ in range(4):
        _step(side, optimiser, x, y)


def adam(side: Side) -> None:
    """Adam in place of SGD."""
    x, y = examples()
    optimiser = side.optimiser(torch.optim.Adam(side.model.parameters(), lr=0.02))
    for _ in range(4):
        _step(side, optimiser, x, y)


def groups(side: Side) -> None:
    """Two groups of parameters, each with a learning rate of its own, and momentum."""
    x, y = examples()
    parts = [{"params": side.model[0].parameters(), "lr": 0.05}, {"params": side.model[2].parameters()}]  # type: ignore[index]
    optimiser = side.optimiser(torch.optim.SGD(parts, lr=0.2, momentum=0.5))
    for _ in range(4):
        _step(side, optimiser, x, y)


def loader(side: Side) -> None:
    """Batches of a DataLoader, shuffled."""
    data = DataLoader(TensorDataset(*examples()), 8, shuffle=True, generator=torch.Generator().manual_seed(1))
    optimiser = _sgd(side)
    for x, y in data:
        _step(side, optimiser, x, y)


def scheduler(side: Side) -> None:
    """A scheduler of the learning rate."""
    x, y = examples()
    optimiser = _sgd(side)
    plan = torch.optim.lr_scheduler.StepLR(optimiser, step_size=2, gamma=0.1)
    for _ in range(4):
        _step(side, optimiser, x, y)
        plan.step()


def clipping(side: Side) -> None:
    """Clipping of gradients."""
    x, y = examples()
    optimiser = _sgd(side, lr=1.0)
    for _ in range(4):
        optimiser.zero_grad()
        _loss(side, x, y).backward()
        nn.utils.clip_grad_norm_(side.model.parameters(), 0.2)
        optimiser.step()


def accumulation(side: Side) -> None:
    """Gradients of two batches added up before a step."""
    x, y = examples()
    optimiser = _sgd(side)
    for _ in range(2):
        optimiser.zero_grad()
        for part in (slice(0, 12), slice(12, 24)):
            (0.5 * _loss(side, x[part], y[part])).backward()
        optimiser.step()


def freezing(side: Side) -> None:
    """A layer that is frozen after the first step."""
    x, y = examples()
    optimiser = _sgd(side)
    _step(side, optimiser, x, y)
    for value in side.model[0].parameters():  # type: ignore[index]
        value.requires_grad_(requires_grad=False)
    for _ in range(3):
        _step(side, optimiser, x, y)


def closure(side: Side) -> None:
    """A closure given to step."""
    x, y = examples()
    optimiser = _sgd(side)

    def evaluated() -> Tensor:
        optimiser.zero_grad()
        loss = _loss(side, x, y)
        loss.backward()
        return loss

    for _ in range(4):
        optimiser.step(evaluated)


def interrupted(side: Side) -> None:
    """A step ended in the middle of its pulses; read, and gone on with."""
    x, y = examples()
    optimiser = _sgd(side)
    optimiser.zero_grad()
    _loss(side, x, y).backward()
    side.cut(optimiser.step)
    getattr(optimiser, "look_again", lambda: None)()
    optimiser.zero_grad()
    (0.0 * _loss(side, x, y)).backward()
    optimiser.step()  # nothing new: what the cut one left is given


def state_dict(side: Side) -> None:
    """load_state_dict, written onto the cells by write(); then a loop."""
    x, y = examples()
    state = {name: 0.5 * value for name, value in side.model.state_dict().items()}
    side.model.load_state_dict(state)
    side.settled()
    optimiser = _sgd(side)
    for _ in range(2):
        _step(side, optimiser, x, y)


IDIOMS: list[Idiom] = [
    own_loop, adam, groups, loader, scheduler, clipping, accumulation, freezing, closure, interrupted, state_dict,
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The largest difference of a weight from the twin's, over its largest; vectors multiplied, pulses given."""

    error: float
    vectors: int
    pulses: int


def run_idiom(array: Any, idiom: Idiom, *, converted: Converted | None = None) -> Outcome:
    """Run the same code on the array and on a float twin that begins with the weights read from it."""
    if converted is None:
        converted = convert(network(), array, rule=TwoPulse(share=0.5, refresh=False))
    twin = _twin_of(converted)
    weights, before = converted.weights, array.cost.pulses
    vectors = sum(weights.products.values())
    idiom(Side(converted.model, lambda inner: ArrayOptimizer(inner, converted), converted.write, _cutting(array)))
    vectors, pulses = sum(weights.products.values()) - vectors, array.cost.pulses - before
    idiom(Side(twin, lambda inner: inner))
    return Outcome(_apart(converted, twin), vectors, pulses)


def run_two_models(array: Any) -> Outcome:
    """Train two models beside each other, in turn, each beside its own twin."""
    rules = [TwoPulse(share=0.5, refresh=False) for _ in range(2)]
    places: list[dict[str, dict[str, int]]] = [{}, {"0": {"row": 32, "col": 0}, "2": {"row": 32, "col": 10}}]
    both = [
        convert(network(seed), array, rule=rule, layers=where)
        for seed, (rule, where) in enumerate(zip(rules, places, strict=True))
    ]
    found = [run_idiom(array, own_loop, converted=one) for one in both]
    first, second = both[0], _twin_of(both[0])
    own_loop(Side(first.model, lambda inner: ArrayOptimizer(inner, first)))
    own_loop(Side(second, lambda inner: inner))
    return Outcome(
        max(*(one.error for one in found), _apart(first, second)),
        sum(one.vectors for one in found), sum(one.pulses for one in found),
    )  # fmt: skip


def _twin_of(converted: Converted) -> nn.Module:
    twin = network()
    with torch.no_grad():
        for at in (0, 2):
            matrix = converted.model[at].weight.detach()  # type: ignore[index]
            twin[at].weight.copy_(matrix[:-1].T)  # type: ignore[index]
            twin[at].bias.copy_(matrix[-1])  # type: ignore[index]
    return twin


def _apart(converted: Converted, twin: nn.Module) -> float:
    far, largest = 0.0, 0.0
    for at in (0, 2):
        own = converted.model[at].weight.detach()  # type: ignore[index]
        wanted = torch.cat([twin[at].weight.detach().T, twin[at].bias.detach()[None]])  # type: ignore[index]
        far = max(far, float((own - wanted).abs().max()))
        largest = max(largest, float(wanted.abs().max()))
    return far / largest


def _cutting(array: Any) -> Callable[[Callable[[], None]], None]:
    """Return what ends a step by Ctrl-C between its RESETs and its SETs."""

    def cut(step: Callable[[], None]) -> None:
        pulse, given = array.pulse, [0]

        def broken(pulses: Any) -> Any:
            given[0] += 1
            if given[0] == 2:
                raise KeyboardInterrupt
            return pulse(pulses)

        array.pulse = broken
        try:
            step()
        except KeyboardInterrupt:
            return
        finally:
            del array.pulse
        raise AssertionError("the step was not ended")

    return cut


def _refused(doing: Callable[[], object]) -> str:
    try:
        doing()
    except RefusedError as error:
        return str(error)
    return "NOT REFUSED"


def refusals(array: Any) -> dict[str, str]:
    """Return the closed list of loop idioms that are refused, each with its sentence."""
    x, y = examples()

    def fresh(rule: Any = None) -> Converted:
        return convert(network(), array, rule=rule or TwoPulse(share=0.5, refresh=False))

    told: dict[str, str] = {}
    one = fresh()
    told["LBFGS"] = _refused(lambda: ArrayOptimizer(torch.optim.LBFGS(one.model.parameters()), one))
    told["an optimiser made before convert"] = _refused(
        lambda: ArrayOptimizer(torch.optim.SGD(network().parameters(), lr=0.1), one)
    )
    plain = torch.optim.SGD(one.model.parameters(), lr=0.1)
    functional.cross_entropy(one.model(x), y).backward()
    plain.step()
    told["a step of a plain torch optimiser"] = _refused(lambda: one.model(x))
    one = fresh()
    one.model.load_state_dict({name: 0.5 * value for name, value in one.model.state_dict().items()})
    told["load_state_dict without write()"] = _refused(lambda: one.model(x))
    one = fresh()
    one.model[0].weight.data *= 0.5  # type: ignore[index]
    told["weights changed by hand"] = _refused(lambda: one.model(x))
    one = fresh()
    fresh()
    told["a model whose cells another was written over"] = _refused(lambda: one.model(x))
    one = fresh()
    optimiser = ArrayOptimizer(torch.optim.SGD(one.model.parameters(), lr=0.2), one)
    functional.cross_entropy(one.model(x), y).backward()
    _cutting(array)(optimiser.step)
    told["going on after a step that was ended"] = _refused(lambda: one.model(x))
    outer = convert(network(), array, rule=OuterProduct(), program="read")
    told["Adam with a rule by outer products"] = _refused(
        lambda: ArrayOptimizer(torch.optim.Adam(outer.model.parameters(), lr=0.1), outer)
    )
    own = ArrayOptimizer(torch.optim.SGD(outer.model.parameters(), lr=0.1), outer)
    functional.cross_entropy(outer.model(x), y).backward()
    outer.model[2].weight.grad.clamp_(-1e-3, 1e-3)  # type: ignore[index, union-attr]
    told["a gradient changed by hand, with a rule by outer products"] = _refused(own.step)
    return told


__all__ = ["IDIOMS", "Idiom", "Outcome", "Side", "refusals", "run_idiom", "run_two_models"]
