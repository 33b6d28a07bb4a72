"""The house's figures: axes, units, colours.

Imports quantities.
"""
