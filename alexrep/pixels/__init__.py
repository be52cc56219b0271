"""Images as arrays: decoding, rescaling, and the moments over a training set."""
