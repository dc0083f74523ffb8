"""Run the pipelines as a package: `python -m embedlab` takes the options of `kedro run`."""

from pathlib import Path

from kedro.framework.project import configure_project

from embedlab.cli import run


def main() -> None:
    """Configure the project, then run."""
    configure_project(Path(__file__).parent.name)
    run()


if __name__ == "__main__":
    main()
