"""Wiring of the weight_export pipeline."""

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.encoder_pretrain.parameters import EncoderPretrainParameters
from embedlab.pipelines.weight_export.nodes import (
    demonstrate_decoder,
    export_weights,
    plot_config_weights,
)

PARAMETERS = "params:weight_export"


def create_pipeline(pretraining: EncoderPretrainParameters) -> Pipeline:
    """Vectors and look-ups, then a decoder that starts from them.

    Args:
        pretraining: decide which LLM the encoder must have been trained against.

    ```
    pretrained_encoder, tool_configs ── export_weights ─ config_weights, config_lookup ─┬─ plot_…
                                                         tool_mask_map ── demonstrate_decoder
    ```
    """
    small = [] if pretraining.language_model else ["small_language_model"]
    return Pipeline(
        [
            Node(
                export_weights,
                [
                    *("pretrained_encoder", "tool_registry", "tool_configs"),
                    *("params:encoder_pretrain", PARAMETERS, *small),
                ],
                ["config_weights", "config_lookup", "tool_mask_map"],
                name="export_weights",
            ),
            Node(
                demonstrate_decoder,
                [
                    *("config_weights", "config_lookup", "tool_mask_map"),
                    *("decoder_checkpoints", PARAMETERS),
                ],
                ["decoder_demonstration", "decoder_summary", "decoder_plot"],
                name="demonstrate_decoder",
            ),
            Node(
                plot_config_weights,
                ["config_weights", "config_lookup"],
                "config_weights_plot",
                name="plot_config_weights",
            ),
        ]
    )
