"""The simulated array test board, after docs/board-protocol.md.

Imports instrument, scpi/ and chip/; imported by bench/.
"""
