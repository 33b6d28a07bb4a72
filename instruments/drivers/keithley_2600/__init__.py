"""The Keithley 2600B: one box with two source-measure units, driven by lines and scripts of TSP.

Imports wire/ and what source-measure units share; imported by station/.
"""
