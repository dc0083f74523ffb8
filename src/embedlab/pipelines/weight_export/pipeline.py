"""Wiring of the weight_export pipeline."""

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.weight_export.nodes import (
    demonstrate_decoder,
    export_weights,
    plot_config_weights,
)

PARAMETERS = "params:weight_export"


def create_pipeline() -> Pipeline:
    """Vectors and look-ups, then a decoder that starts from them.

    ```
    pretrained_encoder, tool_configs ── export_weights ─ config_weights, config_lookup ─┬─ plot_…
                                                         tool_mask_map ── demonstrate_decoder
    ```
    """
    trained = ["pretrained_encoder", "tool_registry", "tool_configs", f"{PARAMETERS}.batch_size"]
    exported = ["config_weights", "config_lookup", "tool_mask_map"]
    learning = [*exported, "decoder_checkpoints", f"{PARAMETERS}.demonstration"]
    learnt = ["decoder_demonstration", "decoder_summary", "decoder_plot"]
    plot = "config_weights_plot"
    return Pipeline(
        [
            Node(export_weights, trained, exported, name="export_weights"),
            Node(demonstrate_decoder, learning, learnt, name="demonstrate_decoder"),
            Node(plot_config_weights, exported[:2], plot, name="plot_config_weights"),
        ]
    )
