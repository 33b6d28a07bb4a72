"""Weights on the array and the layers that multiply with them.

Imports instruments' records; imported by rules/, networks/ and steps/.
"""
