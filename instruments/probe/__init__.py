"""A probe station as an array: sources, pulser and matrix composed; in ``single/`` one source on single devices.

Imports drivers' roles, wire/, chip/ and the records.
"""
