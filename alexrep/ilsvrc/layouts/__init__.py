"""The forms in which people have a data set: one file a layout."""
