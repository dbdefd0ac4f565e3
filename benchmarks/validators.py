"""Random label configs, tasks and answers: what leaves is valid by our validator and by the SDK's.

    python benchmarks/validators.py [--cases 10000]

About 10 minutes for 10,000 cases. Writes benchmarks/results/validators.md. `make test` runs a hundred of the same.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from labelloop.studio.render import render_all
from labelloop.studio.results import KNOWN_GAPS, prediction, second_opinion, validate
from labelloop.studio.schema import read_config
from studio.strategies import answers, configs

RESULTS = Path(__file__).parent / "results" / "validators.md"
VALUES = st.one_of(
    st.none(), st.text(max_size=80), st.integers(), st.lists(st.text(max_size=9), max_size=3), st.booleans()
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=10_000)
    cases = parser.parse_args().cases
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(configs())
        fields = read_config(config).fields
        item = data.draw(st.dictionaries(st.sampled_from(["t", "h", "other"]), VALUES, max_size=4))
        texts, problems = render_all(fields, item)
        assert set(texts) | set(problems) == {field.name for field in fields}
        made = prediction(fields, data.draw(answers(fields)), "v1-abc")
        assert validate(made, fields) == (made, [])
        assert second_opinion(config, made) == []
        seen["cases"] += 1
        seen["controls"] += len(fields)
        seen["regions"] += len(made["result"])
        seen["texts"] += len(texts)
        seen["texts refused with a reason"] += len(problems)

    began = time.monotonic()
    check()
    lines = "\n".join(f"| {name} | {count} |" for name, count in seen.items())
    gaps = "\n".join(f"- `{message}`: {reason}" for message, reason in KNOWN_GAPS)
    RESULTS.write_text(
        f"# Random configs, tasks and answers\n\n`python benchmarks/validators.py --cases {cases}`, "
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"hypothesis {version('hypothesis')}, label-studio-sdk {version('label-studio-sdk')}; "
        f"{time.monotonic() - began:.0f} s.\n\nEvery prediction was valid by our validator and accepted by the SDK's, "
        f"outside these gaps of the SDK:\n\n{gaps}\n\n| | |\n|---|---|\n{lines}\n"
    )
    print(RESULTS.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
