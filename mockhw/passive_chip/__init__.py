"""The passive crossbar: wires, sneak paths, cells without transistors.

Imports chip/ and device_models/.
"""
