"""Test Script Processing: a Lua in bounds, and a session whose messages are its lines.

Imports scpi/ and sim_clock; imported by instruments/.
"""
