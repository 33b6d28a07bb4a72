"""The simulated Keithley 2600B with two channels, as its Reference Manual tells it.

Imports instrument, tsp/, scpi/ and probe_circuit/; imported by bench/.
"""
