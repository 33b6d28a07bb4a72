"""The simulated Keysight B2201A, after its manual.

Imports instrument, scpi/ and probe_circuit/; imported by bench/.
"""
