"""A stand-in with the interface of label-studio-ml 2.x, for where that package cannot be installed."""
