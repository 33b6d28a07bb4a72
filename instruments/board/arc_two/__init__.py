"""ArC TWO as a crossbar array, through its vendor's ``pyarc2``.

Imports board/own_array, chip/ and wire/; imported by nothing but a station file.
"""
