"""The simulated Keysight 33622A, after its manual.

Imports instrument, scpi/ and probe_circuit/; imported by bench/.
"""
