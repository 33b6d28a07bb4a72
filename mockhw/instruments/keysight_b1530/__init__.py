"""A stand-in for the vendor's library of a B1530A WGFMU in front of a probe station's cables.

Names, arguments and return codes are those of the library's header as public repositories have it; texts of errors are
ours. Imports probe_circuit/ and sim_clock; imported by bench/ only.
"""

from __future__ import annotations
