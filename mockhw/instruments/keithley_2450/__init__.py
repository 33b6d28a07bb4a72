"""The simulated Keithley 2450, after its manual.

Imports instrument, scpi/ and probe_circuit/; imported by bench/.
"""
