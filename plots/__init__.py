"""Pictures: one a module, whose draw(run) returns the figure; `style.save` writes it."""
