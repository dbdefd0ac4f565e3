"""Random label configs, tasks, answers and garbage: what leaves is valid by our validator and by the SDK's.

    python benchmarks/validators.py [--cases 10000] [--regions 5000]

About 10 minutes for 10,000 cases and 3 for 5,000 of regions. Writes benchmarks/results/validators.md. `make test`
runs a hundred or two of the same.
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

from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import KNOWN_GAPS, prediction, second_opinion, validate
from labelloop.studio.schema import read_config
from studio.strategies import GARBAGE, MARKED, answers, configs, items, marked_answers

RESULTS = Path(__file__).parent / "results" / "validators.md"
VALUES = st.one_of(
    st.none(), st.text(max_size=80), st.integers(), st.lists(st.text(max_size=9), max_size=3), st.booleans()
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--regions", type=int, default=5_000)
    wanted = parser.parse_args()
    choices, choices_s = check_choices(wanted.cases)
    regions, regions_s = check_regions(wanted.regions)
    gaps = "\n".join(f"- `{message}`: {reason}" for message, reason in KNOWN_GAPS)
    RESULTS.write_text(
        f"# Random configs, tasks and answers\n\n`python benchmarks/validators.py --cases {wanted.cases} --regions "
        f"{wanted.regions}`, {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, hypothesis {version('hypothesis')}, label-studio-sdk "
        f"{version('label-studio-sdk')}; {choices_s:.0f} s and {regions_s:.0f} s.\n\nEvery prediction was valid by our "
        f"validator and accepted by the SDK's, outside these gaps of the SDK:\n\n{gaps}\n\n## Choices, trees and "
        f"scales over random configs\n\n{table(choices)}\n\n## Spans, relations, remarks, comparisons and rankings\n\n"
        "On one config with all of them, over random texts, pages and dialogues (emoji, combining characters, CRLF, "
        "entities, nested and broken markup). Every region that left was found again where it stands: "
        "`span(value(start, end)) == (start, end)`. Of predictions with garbage in random places nothing invalid left, "
        "and nothing was raised.\n\n"
        f"{table(regions)}\n"
    )
    print(RESULTS.read_text())
    return 0


def table(seen: Counter[str]) -> str:
    lines = "\n".join(f"| {name} | {count} |" for name, count in seen.items())
    return f"| | |\n|---|---|\n{lines}"


def check_choices(cases: int) -> tuple[Counter[str], float]:
    """What was seen, and the seconds it took."""
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
    return seen, time.monotonic() - began


def check_regions(cases: int) -> tuple[Counter[str], float]:
    """The same of regions, with every span of a text there and back."""
    seen: Counter[str] = Counter()
    fields = read_config(MARKED).fields

    @hypothesis_settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        documents = Documents(fields, data.draw(items()))
        for name in "thip":
            found = documents.find(name)
            assert found is not None
            for start in range(len(found.text)):
                for end in range(start + 1, min(len(found.text), start + 30) + 1):
                    place = found.value(start, end)
                    assert place is None or found.span(place) == (start, end)
                    seen[f"spans of a {type(found).__name__}"] += place is not None
        made = prediction(fields, data.draw(marked_answers(fields, documents)), "v1-abc", documents)
        clean, reports = validate(made, fields, documents)
        assert validate(clean, fields, documents) == (clean, [])
        assert second_opinion(MARKED, clean) == []
        seen["cases"] += 1
        seen["regions"] += sum(one["type"] != "relation" for one in clean["result"])
        seen["relations"] += sum(one["type"] == "relation" for one in clean["result"])
        seen["dropped: on white space, of a region to itself, said twice"] += len(reports)
        places = [made, *made["result"], *(one["value"] for one in made["result"] if "value" in one)]
        where = data.draw(st.sampled_from(places))
        where[data.draw(st.sampled_from(sorted(where)))] = data.draw(GARBAGE)
        clean, reports = validate(made, fields, documents)
        assert validate(clean, fields, documents)[0] == clean
        assert second_opinion(MARKED, clean) == []
        seen["dropped or mended: garbage"] += len(reports)

    began = time.monotonic()
    check()
    return seen, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
