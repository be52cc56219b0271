"""The network of 2012: two towers that read each other at conv3, fc6 and fc7."""
