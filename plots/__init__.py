"""Figures of a run: one per module, each with draw(run, out)."""
