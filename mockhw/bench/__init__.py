"""A bench file becomes simulated instruments around one chip.

Imports everything below; imported by front_ends/ and runbooks.
"""
