"""From files, descriptions and tables in memory to measurements.

Imports measured_data/.
"""
