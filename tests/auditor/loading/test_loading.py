"""Loading: leaves with what they inherit, nested documents, the folder that is never left."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cabc.document.loaded import LoadedDocument
from cabc.document.model import NestedDocument, Requirement
from cabc.document.problems import ProblemsError
from cabc.errors import CabcError
from cabc.loading import digest_of, load, load_text
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HEAD = """\
conformitySpecification:
  id: {id}
  version: 1
  mode: self-assessment
  parties: [{{id: bank, role: auditee}}{parties}]
  subject: {{name: loans}}
"""
LEAF = (
    "{{id: {id}, dataType: boolean, comparison: EqualTo, target: true, "
    "interface: {{kind: manual, question: Done?}}{more}}}"
)


def leaf(name: str = "x", more: str = "") -> str:
    return LEAF.format(id=name, more=more)


def requirement(name: str = "r", more: str = "", measurement: str = "") -> str:
    measured = f"[{{id: m, measurements: [{measurement or leaf()}]}}]"
    return f"{{id: {name}, severity: high, metrics: {measured}{more}}}"


def document(dimensions: str, *, name: str = "loans", parties: str = "", more: str = "  frequency: P1D\n") -> bytes:
    return (HEAD.format(id=name, parties=parties) + more + f"  dimensions: [{dimensions}]\n").encode()


def nothing(held: NestedDocument) -> bytes:
    msg = f"no {held.path}"
    raise CabcError(msg)


def read(text: bytes, files: dict[str, bytes] | None = None) -> LoadedDocument:
    return load_text(text, "spec.yaml", lambda held: (files or {})[held.path] if files else nothing(held))


def said(text: bytes, files: dict[str, bytes] | None = None) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        read(text, files)
    return [str(problem) for problem in caught.value.problems]


def pin(path: str, text: bytes) -> str:
    return f'document: {{path: {path}, digest: "{digest_of(text)}"}}'


def test_paths_are_ids_joined_and_unique() -> None:
    dimension = f"{{id: a, requirements: [{requirement('r')}, {requirement('s')}]}}"
    loaded = read(document(f"{dimension}, {dimension.replace('id: a', 'id: b')}"))
    assert [node.path for node in loaded.requirements] == ["a/r", "a/s", "b/r", "b/s"]
    assert [one.path for one in loaded.leaves()] == ["a/r/m/x", "a/s/m/x", "b/r/m/x", "b/s/m/x"]


def test_the_digest_is_of_the_bytes_as_they_are() -> None:
    text = document(f"{{id: a, requirements: [{requirement()}]}}")
    loaded = read(text)
    assert loaded.digest == f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert loaded.text == text
    assert {one.specification for one in loaded.leaves()} == {loaded.digest}


def test_the_nearest_frequency_wins() -> None:
    own = requirement("s", ", frequency: PT1H", leaf("x", ", frequency: on-event"))
    loaded = read(document(f"{{id: a, frequency: P2D, requirements: [{requirement('r')}, {own}]}}"))
    assert [node.frequency for node in loaded.requirements] == ["P2D", "PT1H"]
    assert [one.frequency for one in loaded.leaves()] == ["P2D", "on-event"]


def test_confidentiality_goes_down_and_never_up() -> None:
    secret = requirement("s", "", f"{leaf('x', ', confidential: true')}, {leaf('y')}")
    loaded = read(document(f"{{id: a, requirements: [{requirement('r', ', confidential: true')}, {secret}]}}"))
    assert [(one.path, one.confidential) for one in loaded.leaves()] == [
        ("a/r/m/x", True),
        ("a/s/m/x", True),
        ("a/s/m/y", False),
    ]
    assert [node.confidential for node in loaded.requirements] == [True, False]


@pytest.mark.parametrize("word", ["None", "null", "~", '"None"'])
def test_the_word_none_means_no_assessor(word: str) -> None:
    loaded = read(document(f"{{id: a, requirements: [{requirement('r', f', assessor: {word}')}]}}"))
    assert loaded.requirements[0].requirement.assessor is None


def key() -> str:
    pem = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode().replace("\n", "\\n")


def answer() -> str:
    interface = f'{{kind: assessor, connection: c, returns: result, specDigest: "sha256:{"1" * 64}"}}'
    return f"assessor: bureau, interface: {interface}"


def with_bureau() -> str:
    return f', {{id: bureau, role: assessor, publicKeys: ["{key()}"]}}'


def test_an_assessor_may_answer_for_a_requirement() -> None:
    text = document(f"{{id: a, requirements: [{{id: r, severity: low, {answer()}}}]}}", parties=with_bureau())
    (node,) = read(text).requirements
    (one,) = node.leaves
    assert (one.path, one.assessor, one.element) == ("a/r", "bureau", node.requirement)


def test_an_assessor_may_answer_for_a_metric_a_dimension_or_the_whole() -> None:
    metric = f"{{id: r, severity: low, metrics: [{{id: m, {answer()}}}]}}"
    loaded = read(
        document(f"{{id: a, {answer()}}}, {{id: b, requirements: [{metric}]}}", parties=with_bureau()),
    )
    assert [(node.path, node.requirement.severity) for node in loaded.requirements] == [
        ("a", "critical"),
        ("b/r", "low"),
    ]
    assert [one.path for one in loaded.leaves()] == ["a", "b/r/m"]
    whole = (HEAD.format(id="loans", parties=with_bureau()) + f"  {answer()[:16]}\n  {answer()[18:]}\n").encode()
    (node,) = read(whole).requirements
    assert (node.path, [one.path for one in node.leaves]) == ("loans", ["loans"])


def test_a_key_of_another_kind_is_refused() -> None:
    text = document(f"{{id: a, {answer()}}}", parties=', {id: bureau, role: assessor, publicKeys: ["hello"]}')
    assert any("wanted an Ed25519 public key in PEM" in one for one in said(text))


VENDOR = document(f"{{id: n, requirements: [{requirement('q')}]}}", name="vendor", more="")


def test_a_nested_document_stands_behind_its_holder() -> None:
    holder = f"{{id: r, severity: high, confidential: true, frequency: PT6H, {pin('v.yaml', VENDOR)}}}"
    loaded = read(document(f"{{id: a, requirements: [{holder}, {requirement('s')}]}}"), {"v.yaml": VENDOR})
    assert [node.path for node in loaded.requirements] == ["a/r", "a/r/n/q", "a/s"]
    first, second, _ = loaded.requirements
    assert first.nested == ("a/r/n/q",)
    assert first.leaves == second.leaves
    assert [one.path for one in loaded.leaves()] == ["a/r/n/q/m/x", "a/s/m/x"]
    (one,) = second.leaves
    assert (one.specification, one.frequency, one.confidential) == (digest_of(VENDOR), "PT6H", True)
    assert loaded.nested[digest_of(VENDOR)].specification.id == "vendor"


def test_a_dimension_may_be_a_nested_document_with_its_own_assessor() -> None:
    parties = ", {id: vendor, role: assessor}"
    text = document(f"{{id: a, assessor: vendor, {pin('v.yaml', VENDOR)}}}", parties=parties)
    loaded = read(text, {"v.yaml": VENDOR})
    assert [(one.path, one.assessor) for one in loaded.leaves()] == [("a/n/q/m/x", "vendor")]


def test_one_document_may_be_nested_twice() -> None:
    held = pin("v.yaml", VENDOR)
    loaded = read(document(f"{{id: a, {held}}}, {{id: b, {held}}}"), {"v.yaml": VENDOR})
    assert [one.path for one in loaded.leaves()] == ["a/n/q/m/x", "b/n/q/m/x"]
    assert list(loaded.nested) == [digest_of(VENDOR)]


def chain(length: int) -> tuple[bytes, dict[str, bytes]]:
    files: dict[str, bytes] = {}
    text = VENDOR
    for number in range(length):
        files[f"d{number}.yaml"] = text
        text = document(f"{{id: a, {pin(f'd{number}.yaml', text)}}}", name=f"n{number}")
    return text, files


def test_five_levels_of_nesting_and_no_more() -> None:
    text, files = chain(5)
    assert [one.path for one in read(text, files).leaves()] == ["a/a/a/a/a/n/q/m/x"]
    text, files = chain(6)
    assert "a document nested 6 deep" in said(text, files)[0]


def test_paths_in_a_nested_document_start_at_its_own_folder() -> None:
    inner = VENDOR
    outer = document(f"{{id: o, {pin('parts/inner.yaml', inner)}}}", name="outer")
    text = document(f"{{id: a, {pin('vendor/outer.yaml', outer)}}}")
    loaded = read(text, {"vendor/outer.yaml": outer, "vendor/parts/inner.yaml": inner})
    assert [one.path for one in loaded.leaves()] == ["a/o/n/q/m/x"]
    assert set(loaded.nested) == {digest_of(inner), digest_of(outer)}


def test_a_requirement_without_frequency_is_told_where_the_document_is_nested() -> None:
    text = document(f"{{id: a, {pin('v.yaml', VENDOR)}}}", more="")
    (problem,) = said(text, {"v.yaml": VENDOR})
    assert problem.startswith("v.yaml:7:39: dimensions[0].requirements[0].frequency")
    assert "wanted `frequency` here or above" in problem


def test_a_symbolic_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_bytes(VENDOR)
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "v.yaml").symlink_to(tmp_path / "real.yaml")
    (tmp_path / "spec" / "folder").symlink_to(tmp_path)
    for path in ("v.yaml", "folder/real.yaml"):
        (tmp_path / "spec" / "s.yaml").write_bytes(document(f"{{id: a, {pin(path, VENDOR)}}}"))
        with pytest.raises(ProblemsError, match=r"symbolic link|not a directory"):
            load(tmp_path / "spec" / "s.yaml")


def test_a_pipe_or_a_folder_is_no_document(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "dir.yaml").mkdir()
    for path in ("pipe.yaml", "dir.yaml"):
        (tmp_path / "s.yaml").write_bytes(document(f"{{id: a, {pin(path, VENDOR)}}}"))
        with pytest.raises(ProblemsError, match="no regular file"):
            load(tmp_path / "s.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CabcError, match="no such file"):
        load(tmp_path / "missing.yaml")


def test_connections_are_checked_when_they_are_known() -> None:
    measured = leaf().replace("{kind: manual, question: Done?}", "{kind: rest, connection: scores, path: /x}")
    text = document(f"{{id: a, requirements: [{requirement('r', '', measured)}]}}")
    load_text(text, "s", nothing, connections={"scores": "rest"})
    with pytest.raises(ProblemsError, match="did you mean scorers"):
        load_text(text, "s", nothing, connections={"scorers": "rest"})
    with pytest.raises(ProblemsError, match="a connection of kind sql"):
        load_text(text, "s", nothing, connections={"scores": "sql"})


def test_a_document_read_again_from_its_bytes_is_the_same() -> None:
    text, files = chain(3)
    first = read(text, files)
    kept = {digest: nested.text for digest, nested in first.nested.items()}
    again = load_text(first.text, "archive", lambda held: kept[held.digest])
    assert again == first


def test_requirement_of_the_model_is_kept() -> None:
    (node,) = read(document(f"{{id: a, requirements: [{requirement()}]}}")).requirements
    assert isinstance(node.requirement, Requirement)
    assert node.dimension.id == "a"


def test_a_document_of_a_thousand_measurements_is_laid_out_whole() -> None:
    measured = ", ".join(leaf(f"x{index}") for index in range(20))
    requirements = ",\n".join(requirement(f"r{index}", "", measured) for index in range(50))
    loaded = read(document(f"{{id: a, requirements: [{requirements}]}}"))
    assert len({each.path for each in loaded.leaves()}) == 1_000
