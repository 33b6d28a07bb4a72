"""Measured protocols done again on cells of a model: the same voltages, the same rules to stop. Imports mockhw/."""
