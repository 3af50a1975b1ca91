"""Every recipe of the cookbook, laid over the shipped default, is a policy that Tenor takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.guard.policy import parse_policy

ROOT = Path(__file__).parents[2]
RECIPES = re.findall(
    r"^## (.+?)$.*?^```yaml\n(.*?)^```$",
    (ROOT / "docs" / "policy_cookbook.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def laid_over(base: Any, recipe: Any) -> Any:  # noqa: ANN401 - YAML is anything
    if isinstance(base, dict) and isinstance(recipe, dict):
        keys = {**base, **recipe}
        return {
            key: laid_over(base[key], recipe[key])
            if key in base and key in recipe
            else recipe.get(key, base.get(key))
            for key in keys
        }
    return recipe


def test_the_cookbook_has_recipes() -> None:
    assert len(RECIPES) >= 6


@pytest.mark.parametrize(("title", "recipe"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_is_a_policy(title: str, recipe: str) -> None:
    text = (ROOT / "policies" / "default.yaml").read_text(encoding="utf-8")
    merged = laid_over(yaml.safe_load(text), yaml.safe_load(recipe))
    policy = parse_policy(yaml.safe_dump(merged, sort_keys=False), file=title)
    wanted = yaml.safe_load(recipe)
    assert all(getattr(policy, key) is not None for key in wanted)
