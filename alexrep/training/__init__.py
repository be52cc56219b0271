"""Optimiser, schedule, loop, interruption."""
