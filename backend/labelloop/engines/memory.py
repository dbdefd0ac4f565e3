"""How much memory this process and its GPU have in use."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def in_use() -> dict[str, int]:
    """In bytes: "resident" (where the system tells), and of the GPU that most of this process's models are on
    "gpu_used", by all processes, and "gpu_total"."""
    found = {}
    with suppress(OSError, ValueError, IndexError):
        found["resident"] = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    torch = sys.modules.get("torch")  # whoever has no model need not load it for this
    with suppress(AttributeError, RuntimeError):  # another thread is just loading it; the driver has failed
        if torch is not None and torch.cuda.is_initialized():
            device = max(range(torch.cuda.device_count()), key=torch.cuda.memory_reserved)
            free, total = torch.cuda.mem_get_info(device)
            found |= {"gpu_used": total - free, "gpu_total": total}
    return found
