"""The demo: a real Label Studio, a made-up project, and everything of LabelLoop running beside it."""
