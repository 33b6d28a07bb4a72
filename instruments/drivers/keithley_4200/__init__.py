"""Keithley 4200A-SCS over KXCI: two source-measure units and a pulse card, three roles in one box.

Imports drivers/, wire/ and limits; the station names ``Keithley4200Box``.
"""
