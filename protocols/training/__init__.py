"""Training on the array: the array multiplies, the host differentiates, and updates go back as pulses.

``weight_mapping`` says which cells are which weight, ``array_weights`` drives them, ``array_layers`` makes torch
modules of them, ``from_torch`` says which layers of a model these can replace, ``update_rules`` turns wanted changes
into pulses, ``trainer`` goes through the batches. Everything that needs torch is imported late: it is the extra
``train``.
"""
