"""A probe station as an array: sources, pulser and matrix composed.

Imports drivers' roles, wire/, chip/ and the records.
"""
