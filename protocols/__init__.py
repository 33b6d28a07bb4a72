"""What we do to a chip, written against the ``CrossbarArray`` capability alone."""
