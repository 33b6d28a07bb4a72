"""The 1T1R chip: cells, wires, products, profiles.

Imports device_models/; imported by instruments/array_board/ and bench/.
"""
