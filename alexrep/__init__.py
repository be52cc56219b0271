"""Reproduce AlexNet (Krizhevsky, Sutskever and Hinton 2012), from ILSVRC tars to pictures."""

__version__ = "0.1.0"
