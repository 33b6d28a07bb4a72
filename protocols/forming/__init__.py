"""Forming virgin cells, by pulses or a ramp.

Imports measure/, keeping/ and plan.
"""
