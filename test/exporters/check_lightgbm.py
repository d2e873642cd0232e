"""Says of boosters of LightGBM that read numbers in ways of their own whether they are exported as they are, or refused.

    python test/exporters/check_lightgbm.py FOLDER
"""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "exporters"))
import from_lightgbm  # noqa: E402
from categories import feeds_of  # noqa: E402

RNG = np.random.default_rng(1)
ROWS = np.column_stack([RNG.normal(size=(600, 2)), RNG.integers(0, 8, 600)])
NUMBERS = ROWS[:, 0] + 3 * np.isin(ROWS[:, 2], [1, 4, 6])


def export(folder, categories="auto", rows=ROWS, **settings):
    """Returns the booster and its network."""
    model = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, min_data_per_group=5, **settings)
    booster = model.fit(rows, NUMBERS, categorical_feature=categories).booster_
    booster.save_model(folder / "model.txt")
    sys.argv = ["from_lightgbm.py", str(folder / "model.txt"), str(folder / "model.onnx")]
    from_lightgbm.main()
    return booster, onnxruntime.InferenceSession(folder / "model.onnx")


def main():
    folder = Path(sys.argv[1])
    booster, session = export(folder, categories=[2])
    rows = ROWS[:100].copy()
    rows[:, 2] = RNG.choice([0, 1.3, 3.7, 4.9999, -0.5, -2, 99, np.nan], len(rows))
    (found,) = session.run(None, {"row": rows.astype(np.float32)})
    assert np.abs(found.ravel() - booster.predict(rows.astype(np.float32))).max() < 1e-5
    kinds = pd.Categorical(np.array(list("abcdefgh"))[ROWS[:, 2].astype(int)])
    sizes = pd.Categorical(np.array(["s", "m"])[(ROWS[:, 1] > 0).astype(int)], ["s", "m"])
    rows = pd.DataFrame({"size": sizes, "number": ROWS[:, 0], "kind": kinds})
    booster, session = export(folder, rows=rows)
    lists = dict.fromkeys([0, 2], ["s"])
    (found,) = session.run(None, feeds_of(rows, lists))
    assert np.abs(found.ravel() - booster.predict(rows)).max() < 1e-5
    # With ordered categories beside others, the file does not tell which columns have names.
    said = io.StringIO()
    with redirect_stdout(said):
        _, session = export(folder, rows=rows.assign(size=sizes.as_ordered()))
    assert [each.name for each in session.get_inputs()] == ["row"]
    for text in ("a column of categories takes their numbers, since", ": 0 s, 1 m", ": 0 a, 1 b"):
        assert text in said.getvalue(), said.getvalue()
    try:
        export(folder, zero_as_missing=True)
    except SystemExit as end:
        assert "it was trained with zero_as_missing" in str(end.code), end.code
    else:
        raise AssertionError("expected a refusal of zero_as_missing")


if __name__ == "__main__":
    main()
