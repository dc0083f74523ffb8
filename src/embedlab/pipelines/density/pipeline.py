"""Wiring of the density pipeline."""

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.density.nodes import (
    draw_sample,
    evaluate_reward_models,
    fit_reward_models,
    make_reward_pairs,
    plot_density,
    weigh_prefixes,
)

PARAMETERS, PARTS = "params:density", "params:parts.density"


def create_pipeline(encoder: str) -> Pipeline:
    """Weights first, then what uses them.

    Args:
        encoder: name of the encoder of the prefixes and responses.

    ```
    {encoder}.prefixes ── weigh_prefixes ── density_weights, density_ids, density_metadata
    density_weights ─┬─ draw_sample ─ density_sample
                     ├─ plot_density ─ density_weights_plot, density_map_plot
    preference_pairs ┴─ make_reward_pairs ─ reward_pairs ─┬─ fit_reward_models ─ reward_model
    {encoder}.responses ──────────────────────────────────┘   └─ evaluate_reward_models ─ metrics
    ```
    """
    prefixes, responses = f"{encoder}.prefixes.vectors", f"{encoder}.responses.vectors"
    weights = ["density_weights", "density_ids"]
    pairs = ["preference_pairs", *weights]
    training = ["reward_pairs", responses, "reward_checkpoints", f"{PARTS}.reward_model"]
    trained = ["reward_model", "reward_model_margins", "reward_model_history"]
    drawing = [*weights, f"{PARTS}.sample"]
    plotted = ["density_weights", prefixes, PARAMETERS]
    plots = ["density_weights_plot", "density_map_plot"]
    margins, metrics = "reward_model_margins", ["reward_model_metrics", "reward_quintile_plot"]
    return Pipeline(
        [
            Node(
                weigh_prefixes,
                [prefixes, PARAMETERS],
                [*weights, "density_metadata"],
                name="weigh_prefixes",
            ),
            Node(draw_sample, drawing, "density_sample", name="draw_sample"),
            Node(plot_density, plotted, plots, name="plot_density"),
            Node(make_reward_pairs, pairs, "reward_pairs", name="make_reward_pairs"),
            Node(fit_reward_models, training, trained, name="fit_reward_models"),
            Node(
                evaluate_reward_models,
                [margins, PARAMETERS],
                metrics,
                name="evaluate_reward_models",
            ),
        ]
    )
