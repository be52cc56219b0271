"""From the original files to prepared images and their statistics."""
