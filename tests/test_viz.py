"""The built Kedro-Viz page, looked at in a browser."""

import functools
import json
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import kedro

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1200",
    "--virtual-time-budget=30000",
]


@pytest.fixture(scope="module")
def built_page(finished_project):
    result = kedro(finished_project, "viz", "build", "--include-previews")
    assert result.returncode == 0, result.stdout + result.stderr
    handler = functools.partial(SimpleHTTPRequestHandler, directory=finished_project / "build")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_shows_the_pipelines_nodes(built_page, tmp_path):
    page = subprocess.run(
        [CHROMIUM, *SWITCHES, f"--user-data-dir={tmp_path}", "--dump-dom", built_page],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stdout
    for name in ("ingest_library_docs", "problem_solutions", "fit_reward_models"):
        assert f">{name}</text>" in page


def test_reports_and_tables_are_previewed(built_page, finished_project):
    api = finished_project / "build" / "api"
    nodes = json.loads((api / "main").read_text())["nodes"]
    kinds = {}
    for node in nodes:
        details = json.loads((api / "nodes" / node["id"]).read_text())
        kinds[node["name"]] = details.get("preview_type")
    assert kinds["evaluation_metrics"] == "JSONPreview"
    assert kinds["evaluation_plot"] == "ImagePreview"
    assert kinds["prefixes"] == "TablePreview"
    assert kinds["reward_model_metrics"] == "JSONPreview"
    for name in ("density_weights_plot", "density_map_plot", "reward_quintile_plot"):
        assert kinds[name] == "ImagePreview"
