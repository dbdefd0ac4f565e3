"""What the loop remembers and learns: the SQL store today; memory, refresh and gate build on it."""
