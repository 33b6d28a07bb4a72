"""The self-contained report of a run.

Imports plots/ and measurements/; imported by protocols and runbooks.
"""
