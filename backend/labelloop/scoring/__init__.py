"""Scoring through Redis and RQ: streams of items, tickets that drain them, warm workers, and whole-project pushes."""
