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

PARAMETERS = "params:density"
WEIGHTS = ["density_weights", "density_ids"]


def create_pipeline(encoder: str) -> Pipeline:
    """Weights first, then what uses them.

    Args:
        encoder: whose vectors are used.

    ```
    {encoder}.prefixes ── weigh_prefixes ── density_weights, density_ids, density_metadata
    density_weights ─┬─ draw_sample ─ density_sample
                     ├─ plot_density ─ density_weights_plot, density_map_plot
    preference_pairs ┴─ make_reward_pairs ─ reward_pairs ─┬─ fit_reward_models ─ reward_model
    {encoder}.responses ──────────────────────────────────┘   └─ evaluate_reward_models ─ metrics
    ```
    """
    prefixes, responses = f"{encoder}.prefixes.vectors", f"{encoder}.responses.vectors"
    return Pipeline(
        [
            Node(
                weigh_prefixes,
                ["prefixes", prefixes, PARAMETERS],
                [*WEIGHTS, "density_metadata"],
                name="weigh_prefixes",
            ),
            Node(draw_sample, [*WEIGHTS, PARAMETERS], "density_sample", name="draw_sample"),
            Node(
                plot_density,
                ["density_weights", prefixes, PARAMETERS],
                ["density_weights_plot", "density_map_plot"],
                name="plot_density",
            ),
            Node(
                make_reward_pairs,
                ["preference_pairs", *WEIGHTS],
                "reward_pairs",
                name="make_reward_pairs",
            ),
            Node(
                fit_reward_models,
                ["reward_pairs", responses, "reward_checkpoints", PARAMETERS],
                ["reward_model", "reward_model_margins", "reward_model_history"],
                name="fit_reward_models",
            ),
            Node(
                evaluate_reward_models,
                ["reward_model_margins", PARAMETERS],
                ["reward_model_metrics", "reward_quintile_plot"],
                name="evaluate_reward_models",
            ),
        ]
    )
