"""How many threads linear algebra on small matrices gets."""

from __future__ import annotations

from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def one_thread() -> AbstractContextManager[object]:
    """NumPy's and SciPy's linear algebra keeps to one thread in the block: beside other work on the machine, threads
    wait for each other for seconds where one alone needs milliseconds."""
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
