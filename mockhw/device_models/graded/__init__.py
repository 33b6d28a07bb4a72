"""Graded switching of passive TiO2 cells.

Imports the base of device_models/ only.
"""
