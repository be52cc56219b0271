"""The run folder: recipe as run, checkpoints, log. No loop and no model code."""
