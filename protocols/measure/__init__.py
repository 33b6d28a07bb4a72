"""One file per measurement.

Imports keeping/ and plan; imported by forming/, programming/ and training/.
"""
