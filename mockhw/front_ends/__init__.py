"""How clients reach a bench: the in-process PyVISA library and the TCP host.

The top floor of the room.
"""
