"""One file per way of programming levels and of watching them: its quantities and its figures.

Imports estimates/, plots/ and, where it stands on one, a measurement.
"""
