"""The derived arrays; ``make_data`` beside this folder made them."""
