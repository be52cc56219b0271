"""Packed training files: layout, writing, reading, checking."""
