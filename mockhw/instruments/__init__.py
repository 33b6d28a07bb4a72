"""The simulated instruments, one folder a model; they parse the bytes real drivers send.

Imported by bench/.
"""
