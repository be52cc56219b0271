"""Reproduce AlexNet (Krizhevsky, Sutskever and Hinton 2012), from the ILSVRC tars to the pictures."""

__version__ = "0.1.0"
