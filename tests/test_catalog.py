"""The catalog and the registry, in every environment and for the sources that parameters offer."""

import pickle
import re
import subprocess
import sys

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from support import ROOT

from embedlab import project_parameters

PIPELINES = {
    "data_ingestion",
    "embedding_cache",
    "density",
    "rnd",
    "encoder_pretrain",
    "weight_export",
    "isotropic_retrieval",
    "evaluation",
}
# Parameters under which every kind of node takes part.
VARIANTS = {
    "default": {},
    "files": {
        "data_ingestion": {
            "problem_solutions": {"source": "problem_solution", "data": [{"files": ["a.jsonl"]}]},
            "preference_pairs": {"source": "hh_rlhf", "data": [{"files": ["b.jsonl"]}]},
            "retrieval_pairs": {"source": "documents", "data": {"files": ["c.txt"]}},
            "pretraining_pairs": {"source": "documents", "data": {"files": ["e.txt"]}},
            "retrieval_sets": ["library_docs", "quick", "documents"],
        },
        "embedding_cache": {
            "encoders": ["minilm", "gte"],
            "collections": [
                *("problem_solutions", "novelty_pairs", "novelty_pairs_concat", "prefixes"),
                *("responses", "retrieval_queries", "retrieval_documents"),
                *("pretraining_queries", "pretraining_documents"),
            ],
            "on_demand": {"path": "d.jsonl"},
        },
        "isotropic_retrieval": {"pretraining": {}},
        "encoder_pretrain": {"language_model": {"model": "Qwen/Qwen2.5-7B"}},
        "evaluation": {"trec_runs": True},
    },
    "unfrozen": {
        "isotropic_retrieval": {
            "retrieval": {"freeze_base": False, "hard_negatives": {"count": 0}},
            "ablations": {"only": []},
        },
    },
}
# The resource encoder brings its own data and language model: it is run by name alone.
BY_NAME = {"encoder_pretrain", "weight_export"}
LAYERS = [
    "intermediate",
    "primary",
    "feature",
    "model_input",
    "models",
    "model_output",
    "reporting",
]
NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@pytest.fixture(params=["base/default", "base/files", "base/unfrozen", "test/default"])
def catalog(request):
    env, variant = request.param.split("/")
    bootstrap_project(ROOT)
    with KedroSession.create(
        ROOT, env=None if env == "base" else env, runtime_params=VARIANTS[variant]
    ) as session:
        yield session.load_context().catalog


def dataset_names():
    """Every data set of every pipeline, parameters apart, with its catalog configuration."""
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    return sorted(name for name in names if not name.startswith("params:"))


def configuration_of(catalog, name):
    pattern = name if name in catalog.config_resolver.config else None
    pattern = pattern or catalog.config_resolver.match_dataset_pattern(name)
    return pattern, catalog.config_resolver.resolve_pattern(name)


def test_only_the_eight_pipelines_are_registered(catalog):
    assert set(pipelines) == {*PIPELINES, "__default__"}
    assert set(pipelines["__default__"].nodes) == {
        node for name in PIPELINES - BY_NAME for node in pipelines[name].nodes
    }


def test_nodes_can_be_pickled_and_have_a_docstring(catalog):
    for node in {node for pipeline in pipelines.values() for node in pipeline.nodes}:
        assert pickle.loads(pickle.dumps(node.func)) is node.func
        assert node.func.__doc__, node.name


def test_every_dataset_is_in_the_catalog(catalog):
    for name in dataset_names():
        pattern, _ = configuration_of(catalog, name)
        assert pattern is not None, f"{name} would be an accidental MemoryDataset"


def test_names_follow_the_convention(catalog):
    for name in dataset_names():
        assert NAME.fullmatch(name), name


def test_every_artifact_has_a_layer_that_its_folder_agrees_with(catalog):
    for name in dataset_names():
        _, config = configuration_of(catalog, name)
        layer = config["metadata"]["kedro-viz"]["layer"]
        # The projection's vectors are beside those of the encoders but come after the model, whose
        # export quotes the summary.
        folder = layer
        if re.fullmatch(r"isotropic\..*\.vectors", name):
            folder = "feature"
        elif name.startswith("isotropic") and name.endswith("_summary"):
            folder = "reporting"
        if "filepath" in config:
            assert re.search(rf"data/0\d_{folder}/", config["filepath"]), name


def test_no_node_reads_a_later_layer_than_it_writes(catalog):
    def layers(names):
        configs = (configuration_of(catalog, name)[1] for name in names if ":" not in name)
        return [LAYERS.index(config["metadata"]["kedro-viz"]["layer"]) for config in configs]

    for node in {node for pipeline in pipelines.values() for node in pipeline.nodes}:
        if layers(node.inputs) and node.outputs:
            assert max(layers(node.inputs)) <= min(layers(node.outputs)), node.name


def test_metrics_and_plots_have_previews(catalog):
    for name in dataset_names():
        path = configuration_of(catalog, name)[1].get("filepath", "")
        if "08_reporting" in path and not path.endswith((".trec", ".tex")):
            assert hasattr(catalog[name], "preview"), name


def test_every_catalog_entry_is_used():
    used, entries = set(), set()
    bootstrap_project(ROOT)
    for variant in VARIANTS.values():
        with KedroSession.create(ROOT, runtime_params=variant) as session:
            catalog = session.load_context().catalog
            used |= {configuration_of(catalog, name)[0] for name in dataset_names()}
            resolver = catalog.config_resolver
            entries |= {*resolver.config, *resolver.list_patterns()}
    # For people: the files of `.vectors` one by one. And Kedro's own pattern for all other names.
    files = {f"{{encoder}}.{{collection}}.{kind}" for kind in ("embeddings", "ids")}
    files.add("{encoder}.{collection}.embeddings_metadata")
    assert entries - used == {"{default}", *files}


@pytest.mark.parametrize("variant", ["default", "files"])
def test_a_language_model_is_made_where_none_is_given(variant):
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, runtime_params=VARIANTS[variant]) as session:
        session.load_context()
    is_made = variant == "default"
    nodes = {node.name for name in BY_NAME for node in pipelines[name].nodes}
    assert ("make_language_model" in nodes) == is_made
    assert "pretrained_encoder" in pipelines["weight_export"].inputs()


def test_the_full_group_notes_what_it_leaves_out():
    bootstrap_project(ROOT)
    sets = {"data_ingestion": {"retrieval_sets": ["full"]}}
    with KedroSession.create(ROOT, runtime_params=sets) as session:
        session.load_context()
    names, notes = project_parameters.current().retrieval_sets()
    assert len(notes) == 4
    assert any(note.startswith("bioasq skipped: ") for note in notes)
    assert names["cqadupstack-android"] == "cqadupstack/android"


def test_three_encoders_have_the_ten_experiments_each():
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env="three_encoders") as session:
        session.load_context()
    figures = {name for name in pipelines["rnd"].outputs() if name.endswith(".rnd_roc")}
    assert len(figures) == 30
    deep = {f"deep_{encoder}.rnd_roc" for encoder in ("gte", "granite", "granite-small")}
    assert deep <= figures
    # Its embeddings are not made.
    assert not set(pipelines["density"].nodes) & set(pipelines["__default__"].nodes)


def test_no_run_waits_for_transformers_to_be_imported():
    code = "import sys, embedlab.pipeline_registry; print('transformers' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr
