"""Data that were measured, by us or by others, as tables of a few known kinds, each with the protocol that was run.

A description file (YAML) says where the columns of a stranger's files are, in which unit, and what was done to the
cells. Imports common/.
"""
