"""A run directory can be someone else's."""


def test_hostile_values_stay_in_their_places(card):
    """Texts of someone else's run add no heading, link, picture, HTML, table, code block or metadata."""
    evil = (
        "x\n---\n# H\n\n| a | b |\n| - | - |\n```\n<script>alert(1)</script> ![p](http://e/p.png) [l](http://e) "
        "`|\\| **b** _i_ $$m$$ <!-- &lt; \x1b[2J \u202e \u2028 \ud800 {{ 7*7 }} {% raw %} : - ' \" "
    )
    usual = card()

    def change(value, depth=0):
        kept = ("job", "status", "higher_is_better", "_target_", "system", "checkpoint", "best_metric", "profile")
        for key, item in list(value.items()):
            if isinstance(item, dict):
                change(item, depth + 1)
            elif isinstance(item, str) and key not in kept:
                value[key] = evil + "y" * 10_000
        if depth and not {"rows", "train", "validation", "test", "en", "es", "kept"} & value.keys():
            value[evil] = evil if "_target_" in value else 0

    def hostile(record):
        change(record["config"], 1)
        for name in ("versions", "choices"):
            change(record[name])
        for rows in record["data"]["rows"].values():
            rows[evil] = rows.pop("es")
            rows["en"]["dropped"][evil] = 3
        record["scores"]["odd"] = {
            "description": evil, "higher_is_better": None, "range": [None, None], "scale": 1, "unit": evil,
        }  # fmt: skip
        record["test"]["test/odd"] = 1.0
        record["config"]["model"]["checkpoint"] = evil
        record["config"]["adapter"] = {"_target_": f"mine.{evil}", "targets": [evil]}
        record["source"] = {"place": "hub", "commit": evil, "sha256": {evil: evil}}
        record["commands"] = [evil]
        record["data"]["fingerprint"] = record["command"] = record["commit"] = record["device"] = evil
        record["baseline"]["system"] = record["best_metric"] = record["precision"] = evil

    page = card(hostile, license=evil)
    assert page.headings == usual.headings
    for mark in ("<script", "<img", "<a ", "<!--", "<hr", "<strong>b", "<em>"):
        assert page.html.count(mark) == usual.html.count(mark), mark
    assert page.html.count("<pre>") == usual.html.count("<pre>")
    assert len(page.tables) == len(usual.tables) + 2  # those of the metric and the adapter
    for table in page.tables:
        assert len({len(row) for row in table}) == 1
    assert not set("\x1b\u202e\u2028") & set((page.folder / "README.md").read_text("utf-8"))
    assert page.data.to_dict().keys() == usual.data.to_dict().keys() | {"license"}
    assert max(map(len, page.text.splitlines())) < 6000
    assert "y" * 500 not in page.text.replace("\n", "")
