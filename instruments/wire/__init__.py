"""Bytes to an instrument and back: ports, exchanges, recovery, guard, safe state.

Parts that drivers have; imports the records only.
"""
