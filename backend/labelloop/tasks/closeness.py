"""How well a passage fits a question: what is measured of each candidate, as one row of numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import numpy as np
from numpy.typing import NDArray

from labelloop.tasks.candidates import FORMS, form, runs
from labelloop.tasks.questions import Grammar, Question
from labelloop.tasks.sentences import Token

Array = NDArray[np.float64]
DECAY = 0.85
