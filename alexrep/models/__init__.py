"""The two-tower network and its parts, reached through the registry."""
