"""The simulated Keithley 2400, after its manual.

Imports instrument, scpi/, probe_circuit/ and what source-measure units share; imported by bench/.
"""
