"""The reference page of the order form, made from the models: `python -m mlops.reference`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pydantic

from components._core import catalogue
from components._core.config import Settings

__all__ = ["order_form"]


def order_form() -> str:
    """Return the page: a section per component, a line per key."""
    lines = [
        "# Order form reference",
        "",
        "Made by `make docs` from the models in `components/*/config.py`. Keys stand under",
        "`config` → `oss-mlops-platform:components` in `stacks/Pulumi.<stack>.yaml`.",
    ]
    for key, folder in catalogue.keys().items():
        cls = catalogue.component_class(folder)
        lines += ["", f"## {key}", "", " ".join((cls.__doc__ or "").split()), ""]
        lines += [f"Requires {_names(cls.requires)}; uses {_names(cls.uses)}; provides {_names(cls.provides)}.", ""]
        rows = list(_rows("", cls.config_class))
        lines += ["| key | default | meaning |", "|---|---|---|", *rows] if rows else ["No keys."]
    return "\n".join(lines) + "\n"


def _names(contracts: tuple[type, ...]) -> str:
    return ", ".join(contract.__name__ for contract in contracts) or "nothing"


def _rows(prefix: str, model: type[pydantic.BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, Settings):
            default = field.get_default(call_default_factory=True)
            yield f"| `{key}` | | {_text(field.description)} |"
            yield from _nested(f"{key}.", default) if isinstance(default, Settings) else _rows(f"{key}.", nested)
            continue
        default = "(required)" if field.is_required() else f"`{field.get_default(call_default_factory=True)}`"
        yield f"| `{key}` | {default} | {_text(field.description)} |"


def _nested(prefix: str, values: Settings) -> Iterator[str]:
    for name, field in type(values).model_fields.items():
        yield f"| `{prefix}{field.alias or name}` | `{getattr(values, name)}` | {_text(field.description)} |"


def _text(description: str | None) -> str:
    return re.sub(r"\s+", " ", description or "").replace("|", "\\|")


if __name__ == "__main__":
    print(order_form(), end="")  # noqa: T201 (a page for standard output)
