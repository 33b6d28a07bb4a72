"""Command bytes to calls and replies to bytes, without any socket (sans-IO).

Imports faults and nothing of the physics.
"""
