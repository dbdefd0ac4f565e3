"""All that knows Label Studio: its label configs, its result formats, its API."""
