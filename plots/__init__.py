"""Pictures of a run: one figure per module, each with draw(run, out)."""
