"""How a network is computed, in training and in evaluation alike."""
