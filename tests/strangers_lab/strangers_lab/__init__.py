"""What one lab adds to xbarlab."""
