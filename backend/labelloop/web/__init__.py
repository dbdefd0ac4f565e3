"""HTTP: what Label Studio and people reach. Imports no torch and not the SDK."""
