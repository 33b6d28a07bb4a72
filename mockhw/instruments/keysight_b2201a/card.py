"""One switch module of a B2201A, or all of them as one in the auto configuration: what is to be connected, and how.

After the B2200A/B2201A User's Guide; bias mode as the E5250A User's Guide (p. 5-11), whose successor this is, has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...scpi.errors import ScpiError
from .channels import INPUTS

Path = tuple[int, int]
"""Input port and output port; outputs are counted through all modules."""

BIAS_PORT, GROUND_PORT = 10, 12
NO_PORT = -1


@dataclass(slots=True)
class PortMode:
    """Bias or ground mode: ``port`` goes to every enabled output that has nothing else.

    Attributes
    ----------
    on : bool
    port : int
        Input port, −1 for none.
    enabled : set of int
        Outputs it may be connected to.
    """

    on: bool
    port: int
    enabled: set[int] = field(default_factory=set[int])


class CardState:
    """Settings and wishes of one card.

    Parameters
    ----------
    number : int
        As in channel lists: 0 for the whole mainframe in the auto configuration.
    outputs : range
        Its outputs, counted through all modules from 1.
    """

    def __init__(self, number: int, outputs: range) -> None:
        self.number = number
        self.outputs = outputs
        self.reset()

    def reset(self) -> None:
        """Forget everything: free rule, break before make, no mode on."""
        self.rule = "FREE"
        self.sequence = "BBM"
        self.bias = PortMode(False, BIAS_PORT, set(self.outputs))
        self.ground = PortMode(False, GROUND_PORT)
        self.couple = False
        self.couples: frozenset[int] = frozenset()
        self.unused: frozenset[int] = frozenset()
        self.wanted: set[Path] = set()

    # --- ports --------------------------------------------------------------------------------

    def path(self, port: int, output: int) -> Path:
        """Return a path of this card with its output counted through all modules.

        Raises
        ------
        ScpiError
            -222 when there is no such port.
        """
        if not 1 <= port <= INPUTS:
            raise ScpiError(-222, f"input port {port}; there are 1 to {INPUTS}")
        if not 1 <= output <= len(self.outputs):
            raise ScpiError(-222, f"output port {output} of card {self.number}; there are 1 to {len(self.outputs)}")
        return port, self.outputs[output - 1]

    def own_output(self, output: int) -> int:
        """Return the number of an output on this card."""
        return output - self.outputs[0] + 1

    def check_direct(self, port: int) -> None:
        """Refuse to switch the port of a mode that is on."""
        for name, mode in (("bias", self.bias), ("ground", self.ground)):
            if mode.on and mode.port == port:
                raise ScpiError(-221, f"input port {port} is the {name} port and {name} mode is on")

    def _partners(self, path: Path) -> list[Path]:
        """Return the paths that move together: one, or a Kelvin pair."""
        port, output = path
        lower = port if port % 2 else port - 1
        if not (self.couple and lower in self.couples):
            return [path]
        own = self.own_output(output)
        first = self.outputs[(own if own % 2 else own - 1) - 1]
        return [(lower, first), (lower + 1, first + 1)]

    # --- wishes -------------------------------------------------------------------------------

    def connect(self, paths: Iterable[Path]) -> None:
        """Connect; under the single rule what shares a port with a new path gives way."""
        for path in paths:
            for port, output in self._partners(path):
                if self.rule == "SROU":
                    self.wanted = {p for p in self.wanted if p[0] != port and p[1] != output}
                self.wanted.add((port, output))

    def disconnect(self, paths: Iterable[Path]) -> None:
        """Disconnect."""
        for path in paths:
            self.wanted.difference_update(self._partners(path))

    def set_mode(self, mode: PortMode, on: bool) -> None:
        """Turn bias or ground mode on or off."""
        other = self.ground if mode is self.bias else self.bias
        if on and other.on:
            raise ScpiError(-221, "bias mode and ground mode exclude one another")
        if on and mode.port in self._coupled_ports():
            raise ScpiError(-221, f"input port {mode.port} is a couple port")
        mode.on = on
        if on:
            self.wanted = {path for path in self.wanted if path[0] != mode.port}

    def set_port(self, mode: PortMode, port: int) -> None:
        """Choose the port of bias or ground mode."""
        if port != NO_PORT and not 1 <= port <= INPUTS:
            raise ScpiError(-222, f"input port {port}; there are 1 to {INPUTS}, and -1 for none")
        if port in self._coupled_ports():
            raise ScpiError(-221, f"input port {port} is a couple port")
        mode.port = port
        if mode.on:
            self.wanted = {path for path in self.wanted if path[0] != port}

    def set_couples(self, ports: frozenset[int]) -> None:
        """Choose the Kelvin pairs by their lower ports."""
        wrong = sorted(port for port in ports if port % 2 == 0 or not 1 <= port < INPUTS)
        if wrong:
            raise ScpiError(-222, f"couple port {wrong[0]}; there are 1, 3, 5, 7, 9, 11, 13")
        taken = {mode.port for mode in (self.bias, self.ground) if mode.on}
        if self.couple and taken & {port + side for port in ports for side in (0, 1)}:
            raise ScpiError(-221, "a couple port is the port of a mode that is on")
        self.couples = ports

    def set_unused(self, ports: frozenset[int]) -> None:
        """Choose the input ports that ground mode grounds while they are unused."""
        wrong = sorted(port for port in ports if not 1 <= port <= INPUTS)
        if wrong:
            raise ScpiError(-222, f"input port {wrong[0]}; there are 1 to {INPUTS}")
        self.unused = ports

    def _coupled_ports(self) -> set[int]:
        return {port + side for port in self.couples for side in (0, 1)} if self.couple else set()

    # --- relays -------------------------------------------------------------------------------

    def target(self) -> set[Path]:
        """Return every path that has to be closed, those of bias and ground mode included."""
        busy = {output for _, output in self.wanted}
        automatic = {
            (mode.port, output)
            for mode in (self.bias, self.ground)
            if mode.on and mode.port != NO_PORT
            for output in mode.enabled - busy
        }
        return self.wanted | automatic

    def moves(self, closed: set[Path]) -> list[tuple[set[Path], set[Path]]]:
        """Return the steps from ``closed`` to :meth:`target`: what opens and what closes in each."""
        mine = {path for path in closed if path[1] in self.outputs}
        target = self.target()
        opening, closing = mine - target, target - mine
        automatic = {mode.port for mode in (self.bias, self.ground) if mode.on}
        first = {path for path in opening if path[0] in automatic}  # always breaks before anything makes
        if self.sequence == "MBBR":
            steps = [(first, set[Path]()), (set[Path](), closing), (opening - first, set[Path]())]
        elif self.sequence == "BBM":
            steps = [(opening, set[Path]()), (set[Path](), closing)]
        else:
            steps = [(opening, closing)]
        return [step for step in steps if step[0] or step[1]]
