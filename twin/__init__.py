"""The twin of a chip: a profile fitted from its own measurements, runs rehearsed on it, prediction against silicon.

Below the command line; imports mockhw/, analysis/, runbooks/ and common/.
"""
