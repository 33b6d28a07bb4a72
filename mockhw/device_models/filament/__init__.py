"""One-state filament physics of oxide cells with a transistor.

Imports the base of device_models/ only.
"""
