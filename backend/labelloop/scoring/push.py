"""Whole-project pre-annotation."""


def running(redis):
    return []


def sweep(redis):
    return None
