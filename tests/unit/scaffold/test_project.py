"""The template is a valid project: its files agree with each other and with the formats."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml

from staid.adapters.identity.directory import FileDirectory
from staid.adapters.models.scripted import ScriptedModel
from staid.domain.errors import AskerDisabled
from staid.domain.label import Label
from staid.evals.dataset import Case, check_manifest, parse_cases
from staid.knowledge.acl_file import AclFile
from staid.project.settings import Settings, load
from staid.scaffold.write import write

EVERYONE = Label.of([["group:everyone"]])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a project as `staid init` does."""
    return write(tmp_path_factory.mktemp("scaffold") / "shop")


@pytest.fixture(scope="module")
def settings(project: Path) -> Settings:
    """Its settings."""
    return load(project, {})


@pytest.fixture(scope="module")
def labels(project: Path) -> dict[str, Label]:
    """Every document of the project with its label."""
    acl = AclFile.read(project / "knowledge/acl.yaml")
    root = project / "knowledge/help"
    files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    rows = [
        json.loads(line)
        for name in ("short-answers", "forum")
        for line in (project / f"knowledge/{name}.jsonl").read_text("utf-8").splitlines()
    ]
    assert acl.unused(files) == ()
    return {n: acl.label(n) for n in files} | {r["id"]: Label.parse(r["acl"]) for r in rows}


@pytest.fixture(scope="module")
def cases(project: Path) -> tuple[Case, ...]:
    """Its eval set."""
    return parse_cases((project / "evals/support.jsonl").read_text("utf-8"), "support.jsonl")


def may(directory: FileDirectory, token: str, label: Label) -> bool:
    """Whether a principal satisfies a label, told independently of the access room."""
    held = directory.resolve(token).tokens
    return bool(label.allow) and all(c & held for c in label.allow) and not label.deny & held


@pytest.fixture(scope="module")
def directory(project: Path) -> FileDirectory:
    """Its directory."""
    return FileDirectory(project / "directory.yaml")


def test_settings_name_files_that_exist(project: Path, settings: Settings) -> None:
    """Every path in `staid.toml` leads to something."""
    named = [s.path for s in settings.sources.values()]
    named += [s.acl for s in settings.sources.values() if s.acl]
    named += [a.instructions for a in settings.agents.values() if a.instructions]
    named += [a.canned for a in settings.agents.values() if a.canned]
    assert settings.directory.file is not None
    assert all((project / path).exists() for path in [*named, settings.directory.file])
    assert len(named) == 7


def test_no_key_is_needed(settings: Settings) -> None:
    """The default agent quotes; only `desk` plays a script; the floor is the default one."""
    assert settings.agents["support"].model == "quote"
    assert settings.agents["desk"].model == "scripted:scripts/refund.yaml"
    assert settings.grounding.floor == 0.55
    assert settings.project.entry == "agent:project"


def test_the_knowledge_has_the_kinds_of_label_that_matter(labels: dict[str, Label]) -> None:
    """20-40 documents: public to customers mostly, and one of each restriction; none for nobody."""
    assert 20 <= len(labels) <= 40
    assert all(label.allow for label in labels.values())
    assert Counter(label == EVERYONE for label in labels.values())[True] >= 25
    assert labels["finance/quarter-2026-q3.md"] == Label.of([["group:finance"]])
    assert labels["people/salary-bands.md"] == Label.of([["group:people"]])
    assert labels["board/project-poolish.md"] == Label.of([["group:board"]])
    assert len(labels["finance/write-offs.md"].allow) == 2
    assert labels["internal/price-change-2027.md"].deny == {"group:contractors"}


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("user:ada", set[str]()),
        ("user:lead", {"internal/refund-authority.md", "internal/price-change-2027.md"}),
        ("user:sam", {"internal/refund-authority.md", "internal/price-change-2027.md"}),
        ("user:finn", {"finance/quarter-2026-q3.md", "internal/price-change-2027.md"}),
        (
            "user:mira",
            {
                "finance/quarter-2026-q3.md",
                "finance/write-offs.md",
                "internal/price-change-2027.md",
            },
        ),
        ("user:hana", {"people/salary-bands.md", "internal/price-change-2027.md"}),
        ("user:cleo", set[str]()),
        ("user:bea", {"board/project-poolish.md"}),
    ],
)
def test_who_sees_what_beyond_the_public_pages(
    directory: FileDirectory, labels: dict[str, Label], who: str, sees: set[str]
) -> None:
    """Nested groups, the AND label and the deny label come out as the company means them."""
    seen = {name for name, label in labels.items() if may(directory, who, label)}
    public = {name for name, label in labels.items() if label == EVERYONE}
    assert public <= seen
    assert seen - public == sees


def test_who_left_gets_nothing(directory: FileDirectory) -> None:
    """The disabled principal cannot ask at all."""
    with pytest.raises(AskerDisabled):
        directory.resolve("user:max")


def test_an_approver_exists_and_is_not_the_asker(
    directory: FileDirectory, settings: Settings
) -> None:
    """`user:lead` may decide approvals, through a nested group; `user:ada` may not."""
    approvers = set(settings.gates.approvers)
    assert approvers & directory.resolve("user:lead").tokens
    assert not approvers & directory.resolve("user:ada").tokens


def test_every_document_is_worth_reading(project: Path) -> None:
    """120 to 400 words each, a title, and the date of its review."""
    for path in (project / "knowledge/help").rglob("*.*"):
        text = path.read_text("utf-8")
        assert 120 <= len(text.split()) <= 400, path.name
        stated = r"reviewed:? 2026-\d\d-\d\d.*next.review:? 202[67]-\d\d-\d\d"
        assert re.search(stated, text, re.IGNORECASE | re.DOTALL), path.name
        assert path.suffix in {".md", ".html", ".txt"}


def test_the_kinds_of_file_that_ingest_reads_are_all_there(project: Path) -> None:
    """Markdown mostly; one HTML page, one text file, and JSON lines as sources of their own."""
    kinds = Counter(p.suffix for p in (project / "knowledge").rglob("*.*"))
    assert kinds[".md"] > 25
    assert (kinds[".html"], kinds[".txt"], kinds[".jsonl"]) == (1, 1, 2)


def test_the_eval_set_is_pinned_and_balanced(project: Path, cases: tuple[Case, ...]) -> None:
    """30 cases that fit their manifest, a third of them expecting an abstention."""
    check_manifest(cases, (project / "evals/manifest.json").read_text("utf-8"), "support.jsonl")
    assert len(cases) == 30
    assert Counter(case.expect.outcome for case in cases) == {"answer": 20, "abstention": 10}
    assert {"near_miss", "rights", "off_topic"} <= {case.intent for case in cases}


def test_expected_words_stand_in_cited_documents_the_asker_may_read(
    project: Path, cases: tuple[Case, ...], labels: dict[str, Label], directory: FileDirectory
) -> None:
    """No case expects words that its cited document lacks, or a document its asker may not see."""
    rows = [
        json.loads(line)
        for line in (project / "knowledge/short-answers.jsonl").read_text("utf-8").splitlines()
    ]
    short = {row["id"]: row["text"] for row in rows}
    answers = [case for case in cases if case.expect.outcome == "answer"]
    for case in answers:
        (cited,) = case.expect.cites
        text = short.get(cited) or (project / "knowledge/help" / cited).read_text("utf-8")
        assert all(part in text for part in case.expect.contains), case.id
        assert may(directory, case.asker, labels[cited]), case.id
    assert len(answers) == 20


def test_what_must_not_leak_is_there_for_somebody(
    cases: tuple[Case, ...], labels: dict[str, Label], directory: FileDirectory
) -> None:
    """Each case about rights has an asker who lacks a document that exists: it tests something."""
    hidden = {
        "hidden-poolish": "board/project-poolish.md",
        "hidden-revenue": "finance/quarter-2026-q3.md",
        "hidden-salary": "people/salary-bands.md",
        "hidden-write-off": "finance/write-offs.md",
    }
    found = {case.id: case.asker for case in cases if case.intent == "rights"}
    assert set(found) == set(hidden)
    assert not any(may(directory, found[name], labels[doc]) for name, doc in hidden.items())


def test_the_script_is_valid_and_says_what_it_is(project: Path) -> None:
    """The model of `desk` loads, and its file tells the reader that it is no model."""
    ScriptedModel(project / "scripts/refund.yaml")
    assert "A script is no model" in (project / "scripts/refund.yaml").read_text("utf-8")


def test_the_workflow_runs_the_gate_without_rights(project: Path) -> None:
    """CI may read the repository and nothing else, and runs the merge gate on the eval set."""
    workflow = yaml.safe_load((project / ".github/workflows/staid.yml").read_text("utf-8"))
    steps = workflow["jobs"]["gate"]["steps"]
    assert workflow["permissions"] == {"contents": "read"}
    assert steps[-1]["run"] == "staid eval gate evals/support.jsonl"
    assert (project / "evals/support.jsonl").is_file()


def test_git_leaves_state_and_books_out(project: Path) -> None:
    """The store, its key and the two books never end up in a repository."""
    ignored = (project / ".gitignore").read_text("utf-8").split()
    assert {".staid/", "refunds.jsonl", "calendar.jsonl"} <= set(ignored)


def test_the_readme_names_what_exists(project: Path, settings: Settings) -> None:
    """There are five first commands, and sources and agents are those of `staid.toml`."""
    readme = (project / "README.md").read_text("utf-8")
    sources = set(re.findall(r"`knowledge/([\w-]+)(?:/|\.jsonl)`", readme))
    assert {f"knowledge/{name}" for name in sources} == {
        source.path.removesuffix(".jsonl") for source in settings.sources.values()
    }
    assert set(re.findall(r"--agent (\w+)", readme)) <= set(settings.agents)
    assert len(re.findall(r"^staid \w+", readme, re.MULTILINE)) == 5
    assert tomllib.loads((project / "staid.toml").read_text("utf-8"))
