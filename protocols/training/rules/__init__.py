"""Update rules: wanted weight changes become pulses.

Imports layers/.
"""
