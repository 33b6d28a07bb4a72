"""Single devices on one source-measure unit: a person puts each on the probes when asked.

Imports drivers' roles, wire/, chip/, what several instruments have together, and the records.
"""
