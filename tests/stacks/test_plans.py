"""The golden plan of every order form: a reviewer sees what a change does to the platform without a cluster."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from components._core import images, paths
from tests.support import plans

FORMS = sorted((paths.CHECKOUT / "stacks").glob("Pulumi.*.yaml"))
DATA = paths.CHECKOUT / "tests" / "data" / "plans"


def stable(resources: list[dict[str, Any]]) -> str:
    """Write a plan so that it changes only when the platform does.

    Left out are the content key of our images, and what is derived from it: the digest of the settings that name them
    and the names of Jobs that run once for each image.

    The schema of an upstream definition, up to 700 kB of it, is told by its hash.
    """
    for resource in resources:
        if resource["type"].endswith(":CustomResourceDefinition"):
            for version in resource["inputs"]["spec"]["versions"]:
                schema = json.dumps(version.pop("schema"), sort_keys=True)
                version["schema"] = f"sha256:{hashlib.sha256(schema.encode()).hexdigest()}"
    text = json.dumps(resources, indent=1, sort_keys=True).replace(f"{Path.home()}/", "~/")
    text = re.sub(rf'("{paths.APPLICATION}/settings": )"[0-9a-f]+"', r'\1"<digest>"', text)
    text = re.sub(r"(cabc-auditor-(?:migrate|subscribe))-[0-9a-f]{8}", r"\1-<key>", text)
    return re.sub(rf"({re.escape(images.LOCAL)}/[a-z-]+):[0-9a-f]+", r"\1:<key>", text) + "\n"


@pytest.mark.parametrize("source", ["registry-only", "upstream"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name.split(".")[1])
def test_plan_is_the_golden_one(form: Path, source: str, *, update_test_data: bool) -> None:
    found = stable(plans.resources(form, source=source))
    golden = DATA / f"{form.name.split('.')[1]}.{source}.json"
    if update_test_data:
        golden.write_text(found)
    assert golden.exists(), "no golden plan yet: run pytest with --update-test-data and read the diff"
    assert found == golden.read_text(), "the plan changed: run pytest with --update-test-data and read the diff"
