"""Run the project as a package: `python -m embedlab`."""

from pathlib import Path

from kedro.framework.project import configure_project

from embedlab.cli import run


def main() -> None:
    """Run the pipelines, with the options of `kedro run`."""
    configure_project(Path(__file__).parent.name)
    run()


if __name__ == "__main__":
    main()
