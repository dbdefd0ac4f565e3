"""LabelLoop: a Label Studio ML backend for text that pre-annotates with no labels and learns from every one."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("labelloop")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+uninstalled"
