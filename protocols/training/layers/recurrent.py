"""Recurrent layers on an array: one whose parts can be replaced, and those called like torch's RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from ....common.errors import RefusedError
from .array_layers import ArrayLinear, unrolled_lstm
from .array_weights import ArrayWeights, InputScale
from .held_columns import ArrayHeld, HoldLevels
from .recurrent_cells import ExtraInput, LstmCell, RecurrentCell, State
from .refusals import RefusedAttributeError, is_torch_weight


class Recurrence(nn.Module):
    """One layer in one direction: products of the array, and between them a cell.

    Parameters
    ----------
    cell : what makes the next state of the products
    product : of [x, h(, 1)]; of [x(, 1)] for a cell that takes its products apart
    of_state : product of [h(, 1)] for a cell that takes its products apart
    projection : product that makes what goes out of h; None for none
    extra : what is added to the gates before their activation; None for nothing
    reverse : from the last step to the first
    """

    def __init__(
        self,
        cell: RecurrentCell,
        product: ArrayLinear | nn.Linear,
        *,
        of_state: ArrayLinear | nn.Linear | None = None,
        projection: ArrayLinear | None = None,
        extra: ExtraInput | None = None,
        reverse: bool = False,
    ) -> None:
        super().__init__()
        self.cell, self.product, self.of_state, self.projection = cell, product, of_state, projection
        self.extra, self.reverse = extra, reverse

    @property
    def plain(self) -> bool:
        """Whether this is torch's LSTM, which is compiled."""
        linear = type(self.product) in {ArrayLinear, nn.Linear}
        bare = self.projection is None and self.extra is None
        return linear and bare and isinstance(self.cell, LstmCell) and self.cell.plain

    def forward(self, data: Tensor, sizes: Sequence[int], state: State) -> tuple[Tensor, State]:
        """Return what goes out at every step, and the last state.

        Parameters
        ----------
        data : [sum of ``sizes``, features]
            The vectors of step 0, then those of step 1 …
        sizes : vectors of each step, falling: sequences that are shorter come last
        state : tensors [sizes[0], size] of the cell, and those of ``extra`` behind them, which start anew if missing
        """
        batch = sizes[0]
        if self.plain and sizes[-1] == batch and isinstance(self.product, ArrayLinear):
            x = data.reshape(len(sizes), batch, data.shape[1])
            out, last = unrolled_lstm(self.product, x.flip(0) if self.reverse else x, state[0], state[1])
            end = out[-1], last
            return (out.flip(0) if self.reverse else out).reshape(len(data), out.shape[2]), end
        state = self._whole(state)
        given: Tensor | None = self.product(data) if self.of_state is not None else None
        starts = [0]
        for size in sizes:
            starts.append(starts[-1] + size)
        outs: list[Tensor] = [data] * len(sizes)
        for t in reversed(range(len(sizes))) if self.reverse else range(len(sizes)):
            n, at = sizes[t], slice(starts[t], starts[t + 1])
            new = self.step(data[at], tuple(one[:n] for one in state), None if given is None else given[at])
            outs[t] = new[0]
            state = new if n == batch else tuple(torch.cat([a, b[n:]]) for a, b in zip(new, state, strict=True))
        return torch.cat(outs), state

    def step(self, x: Tensor, state: State, given: Tensor | None = None) -> State:
        """Return the state after one step of ``x`` [batch, features]; ``given`` is its product, where it is known."""
        if self.of_state is None:
            products = (self.product(torch.cat([x, state[0]], 1)),)
        else:
            products = (self.product(x) if given is None else given, self.of_state(state[0]))
        states, own = self.cell.states, ()
        if self.extra is not None:
            state = self._whole(state)
            before, own = self.extra(products[0], state[:states], state[states:])
            products = (before, *products[1:])
        new = (*self.cell(products, state[:states]), *own)
        return new if self.projection is None else (self.projection(new[0]), *new[1:])

    def _whole(self, state: State) -> State:
        """Return a state with the tensors of ``extra``."""
        if self.extra is None or len(state) > self.cell.states:
            return state
        return (*state, *self.extra.start(len(state[0]), state[0].shape[1]))


class ArrayRecurrent(nn.Module):
    """One recurrent layer on an array, made of a cell and what is added to its gates; an LSTM by default.

    One product of [x, h(, 1)] per step; for a cell that takes its products apart one of [x(, 1)], of all steps, and
    one of [h(, 1)] per step, on layers ``layer.input`` and ``layer.state``. torch's LSTM is compiled, other cells are
    differentiated by torch.

    Parameters
    ----------
    weights : the array it is on
    layer : name in its floor plan
    features : of x
    bias : a last input that is always 1
    cell, extra : as of :class:`Recurrence`
    scale : how inputs become voltages
    made_of : what multiplies, such as a layer whose converters are the activation (:class:`.ArrayConverted`)
    levels : what the columns' output circuits hold the product between (:class:`.ArrayHeld`); None for linear ones

    Attributes
    ----------
    hidden : what goes out at every step
    """

    def __init__(
        self,
        weights: ArrayWeights,
        layer: str,
        *,
        features: int,
        bias: bool,
        cell: RecurrentCell | None = None,
        extra: ExtraInput | None = None,
        scale: InputScale = "fixed",
        made_of: type[ArrayLinear] = ArrayLinear,
        levels: HoldLevels | None = None,
    ) -> None:
        super().__init__()
        cell = LstmCell() if cell is None else cell
        product_of: Callable[[str], ArrayLinear] = partial(made_of, weights, bias=bias, scale=scale)
        if levels is not None:
            if cell.apart:
                raise RefusedError(
                    f"layer {layer!r}: {type(cell).__name__} adds two products, which no circuit holds as one"
                )
            if made_of is not ArrayLinear:
                raise RefusedError(f"layer {layer!r}: levels make the product an ArrayHeld, no {made_of.__name__}")
            product_of = partial(ArrayHeld, weights, bias=bias, levels=levels)
        product = product_of(f"{layer}.input" if cell.apart else layer)
        of_state = product_of(f"{layer}.state") if cell.apart else None
        self.layer, self.features = layer, features
        self.hidden = product.inputs - features if of_state is None else of_state.inputs
        outputs = cell.outputs(self.hidden) if self.hidden > 0 else 0
        wide = [one for one in (product, of_state) if one is not None and one.outputs != outputs]
        if wide or (of_state is not None and product.inputs != features):
            raise RefusedError(
                f"layer {layer!r} has {product.inputs} inputs and {product.outputs} outputs: {type(cell).__name__} "
                f"with {features} features and {self.hidden} units needs {outputs} outputs, and inputs for both"
            )
        self.recurrence = Recurrence(cell, product, of_state=of_state, extra=extra)

    @property
    def product(self) -> ArrayLinear:
        """What multiplies the inputs, and the state unless the cell takes it apart."""
        product = self.recurrence.product
        assert isinstance(product, ArrayLinear)
        return product

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return what goes out [steps, batch, hidden] and the last state of ``x`` [steps, batch, features]."""
        if not isinstance(x, Tensor) or x.dtype != torch.float32:  # pyright: ignore[reportUnnecessaryIsInstance]
            self.product.check_input(x)  # says what is wrong with it
        if x.ndim != 3 or x.shape[0] < 1 or x.shape[2] != self.features:
            raise RefusedError(f"layer {self.layer!r} takes [steps, batch, {self.features}], not {list(x.shape)}")
        return _over_steps(self.recurrence, x, self.hidden, state)


class TwinRecurrent(nn.Module):
    """The float twin of :class:`ArrayRecurrent`: the same cell between products of ``nn.Linear``."""

    def __init__(
        self, features: int, hidden: int, *, bias: bool, cell: RecurrentCell, extra: ExtraInput | None = None
    ) -> None:
        super().__init__()
        self.hidden, outputs = hidden, cell.outputs(hidden)
        product = nn.Linear(features if cell.apart else features + hidden, outputs, bias=bias)
        of_state = nn.Linear(hidden, outputs, bias=bias) if cell.apart else None
        self.recurrence = Recurrence(cell, product, of_state=of_state, extra=extra)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return what the layer on an array does."""
        return _over_steps(self.recurrence, x, self.hidden, state)


def _over_steps(recurrence: Recurrence, x: Tensor, hidden: int, state: State | None) -> tuple[Tensor, State]:
    """Return what goes out [steps, batch, hidden] and the last state of ``x`` [steps, batch, features]."""
    steps, batch, features = x.shape
    start = recurrence.cell.start(batch, hidden) if state is None else state
    out, last = recurrence(x.reshape(steps * batch, features), [batch] * steps, start)
    return out.reshape(steps, batch, out.shape[1]), last


@dataclass(frozen=True)
class Sizes:
    """What torch calls a recurrent layer's numbers, under torch's names."""

    name: str
    mode: str
    input_size: int
    hidden_size: int
    bias: bool
    states: int
    num_layers: int = 1
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    nonlinearity: str = "tanh"

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Size of each tensor of a state."""
        return (self.proj_size or self.hidden_size, self.hidden_size)[: self.states]


class _TorchLike(nn.Module):
    """Answers to torch's names."""

    def __init__(self, sizes: Sizes, layers: Sequence[Recurrence]) -> None:
        super().__init__()
        self.sizes, self.layers = sizes, nn.ModuleList(layers)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in Sizes.__dataclass_fields__:
                return getattr(self.sizes, name)
            if is_torch_weight(name):
                held = ", ".join(repr(m.layer) for m in self.modules() if isinstance(m, ArrayLinear))
                raise RefusedAttributeError(
                    f"layer {self.sizes.name!r} has no {name}: its weights are [inputs, outputs] of {held} on the "
                    "array; array_layers(model) finds them, weights.weights(name) returns what was last read"
                ) from None
            raise

    def extra_repr(self) -> str:
        """Return what ``print(model)`` shows."""
        return f"{self.sizes.mode}, {self.sizes.input_size} → {self.sizes.hidden_size}"

    def _state(self, given: Any, lead: tuple[int, ...], at: Tensor | None = None) -> State:
        """Return the state to begin with, tensors [*lead, size]: zeros, or what was given, its sequences in order."""
        wanted = [(*lead, size) for size in self.sizes.state_sizes]
        if given is None:
            return tuple(torch.zeros(shape) for shape in wanted)
        held: tuple[Any, ...] = tuple(given) if self.sizes.states > 1 and isinstance(given, tuple | list) else (given,)
        shapes = [tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__ for one in held]
        if shapes != wanted:
            raise RefusedError(f"layer {self.sizes.name!r} takes a state of {wanted}, not {shapes}")
        return held if at is None else tuple(one.index_select(-2, at) for one in held)


class TorchLikeRecurrent(_TorchLike):
    """``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` on an array: layers, directions, packed and unbatched sequences as there.

    ``layers`` has one :class:`Recurrence` per layer and direction, in torch's order.
    """

    def flatten_parameters(self) -> None:
        """Do nothing: there are no weights to put side by side."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return what the torch layer does: outputs, and the last states."""
        lead = self.sizes.num_layers * (2 if self.sizes.bidirectional else 1)
        if isinstance(input, PackedSequence):
            self._check(input.data, 2)
            counts: list[int] = input.batch_sizes.tolist()  # pyright: ignore[reportUnknownMemberType]
            state = self._state(hx, (lead, counts[0]), input.sorted_indices)
            data, last = self._run(input.data, counts, state)
            if input.unsorted_indices is not None:
                last = tuple(one.index_select(1, input.unsorted_indices) for one in last)
            return PackedSequence(data, input.batch_sizes, input.sorted_indices, input.unsorted_indices), _told(last)
        self._check(input, None)
        batched = input.ndim == 3
        x = input if batched else input[:, None]
        if batched and self.sizes.batch_first:
            x = input.transpose(0, 1)
        steps, batch = x.shape[:2]
        if not steps:
            raise RefusedError(f"layer {self.sizes.name!r} was given a sequence of no steps")
        state = self._state(hx, (lead, batch) if batched else (lead,))
        if not batched:
            state = tuple(one[:, None] for one in state)
        data, last = self._run(x.reshape(steps * batch, x.shape[2]), [batch] * steps, state)
        out = data.reshape(steps, batch, data.shape[1])
        if not batched:
            return out[:, 0], _told(tuple(one[:, 0] for one in last))
        return (out.transpose(0, 1) if self.sizes.batch_first else out), _told(last)

    def _check(self, x: Any, dims: int | None) -> None:
        first = self.layers[0]
        assert isinstance(first, Recurrence)
        assert isinstance(first.product, ArrayLinear)
        if not isinstance(x, Tensor) or x.dtype != torch.float32:
            first.product.check_input(x)  # says what is wrong with it
        if x.ndim not in ((2, 3) if dims is None else (dims,)) or x.shape[-1] != self.sizes.input_size:
            order = "batch, steps" if self.sizes.batch_first else "steps, batch"
            raise RefusedError(
                f"layer {self.sizes.name!r} takes [{order}, {self.sizes.input_size}], [steps, {self.sizes.input_size}] "
                f"or a packed sequence of {self.sizes.input_size} features, not {list(x.shape)}"
            )

    def _run(self, data: Tensor, counts: Sequence[int], state: State) -> tuple[Tensor, State]:
        ways = 2 if self.sizes.bidirectional else 1
        last: list[State] = []
        for k in range(self.sizes.num_layers):
            if k and self.sizes.dropout and self.training:
                data = functional.dropout(data, self.sizes.dropout, training=True)
            outs: list[Tensor] = []
            for n in range(k * ways, (k + 1) * ways):
                out, end = self.layers[n](data, counts, tuple(one[n] for one in state))
                outs.append(out)
                last.append(end[: self.sizes.states])
            data = outs[0] if ways == 1 else torch.cat(outs, 1)
        return data, tuple(torch.stack(one) for one in zip(*last, strict=True))


class TorchLikeCell(_TorchLike):
    """``nn.RNNCell``, ``nn.GRUCell`` or ``nn.LSTMCell`` on an array."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """Return the next state of ``input`` [batch, features] or [features]."""
        first = self.layers[0]
        assert isinstance(first, Recurrence)
        assert isinstance(first.product, ArrayLinear)
        if not isinstance(input, Tensor) or input.dtype != torch.float32:  # pyright: ignore[reportUnnecessaryIsInstance]
            first.product.check_input(input)
        if input.ndim not in (1, 2) or input.shape[-1] != self.sizes.input_size:
            raise RefusedError(
                f"layer {self.sizes.name!r} takes [batch, {self.sizes.input_size}] or [{self.sizes.input_size}], not "
                f"{list(input.shape)}"
            )
        batched = input.ndim == 2
        state = self._state(hx, (len(input),) if batched else ())
        if batched:
            return _told(first.step(input, state)[: self.sizes.states])
        after = first.step(input[None], tuple(one[None] for one in state))
        return _told(tuple(one[0] for one in after[: self.sizes.states]))


def _told(state: State) -> Any:
    """Return a state as torch does: the tensor itself where there is one."""
    return state[0] if len(state) == 1 else state
