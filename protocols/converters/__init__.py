"""Converters made of cells: ramps that have the shape of an activation function.

This file is empty of code so that importing one part does not import the others.
"""
