"""The demo edition: ten classes made from data that scikit-learn ships, in the form of ILSVRC."""
