"""A simulated Keithley 4200A-SCS as KXCI shows it: two source-measure units and a 4225-PMU behind RPMs.

Imports instrument, scpi/ and probe_circuit/; imported by bench/ only.
"""
