"""A 4225-PMU behind two 4225-RPMs as a pulse source for two crossbar lines: trains, waveforms, pulsed sweeps."""

from __future__ import annotations

from ...limits import refuse_bad_number
from ...wire.doors import alone
from ..source_limits import check_train
from .measured_pulses import MeasuredPulses
from .pulses import BURST_MAX, VOLTS_MAX, VOLTS_MIN, Train, quantised, train_commands
from .sweep import PIECE_SECONDS

_COUNT_MAX = 1_000_000


class Keithley4225Pmu(MeasuredPulses):
    """The pulse card of the box, both channels in step, from 0 V; outputs are off between tests."""

    @alone
    def pulses(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> Train:
        """Give a train of pulses from 0 V on both channels at once and return when it is over; outputs off after it.

        Parameters
        ----------
        first, second : float [V]
            Amplitudes on channels 1 and 2, either sign; a channel of 0 V is held at 0 V.
        width : float [s]
            At half height, 40 ns and more on a 10 ns grid.
        edge : float [s]
            Rise and fall time, 20 ns to 1 µs.
        period : float [s]
            From pulse to pulse.
        count : int
            Pulses, up to a million: in bursts of 10,000 and ``PIECE_SECONDS`` at most.
        most : float [V]
            Rounding takes neither channel beyond this magnitude; default the limit.

        Raises
        ------
        RefusedError
            Outside the limits or what the card can do: nothing was sent.
        """
        train = self.plan(first, second, width=width, edge=edge, period=period, count=count, most=most)
        try:
            self.wire.exchange.act("\n".join(train_commands(train)))
            burst = max(1, min(BURST_MAX, int(PIECE_SECONDS / train.period)))
            left, told = train.count, 0
            self.stress.pulses((train.first, train.second), train.count)
            while left:
                now = min(left, burst)
                count_command = "" if now == told else f":PMU:PULSE:BURST:COUNT {now}\n"
                self._execute(count_command, now * train.period)
                left, told = left - now, now
        except BaseException:
            self.idle()
            raise
        return train

    def plan(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> Train:
        """Return what :meth:`pulses` would give, or refuse it; nothing is sent."""
        where = self.name
        most = self.bounds.source_volts_max if most is None else most
        amplitudes = [self._amplitude(volts, f"{where} channel {n}", most) for n, volts in ((1, first), (2, second))]
        width, edge, period = self._times(width, edge, period)
        given = check_train(
            self.bounds.now,
            amplitudes,
            width=width,
            edge=edge,
            period=period,
            count=count,
            count_max=_COUNT_MAX,
            channel=where,
        )
        return Train(amplitudes[0], amplitudes[1], width, edge, period, given, round(given * period, 12))

    def _amplitude(self, volts: float, channel: str, most: float) -> float:
        volts = self.bounds.now.one("source_volts", volts, channel=channel)
        if volts == 0.0:
            return 0.0
        refuse_bad_number("amplitude", abs(volts), VOLTS_MIN, VOLTS_MAX, "V", channel=channel)
        return quantised(volts, min(most, self.bounds.largest))
