"""Scores of a trained network: errors, views, predictions."""
