"""Wiring of the encoder_pretrain pipeline."""

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.encoder_pretrain.nodes import (
    decode_descriptions,
    describe_configs,
    load_tools,
    make_language_model,
    plot_pretraining,
    pretrain_encoder,
)
from embedlab.pipelines.encoder_pretrain.parameters import EncoderPretrainParameters

PARAMETERS, PARTS = "params:encoder_pretrain", "params:parts.encoder_pretrain"
CHECKPOINTS = "encoder_checkpoints"
SMALL = "small_language_model"


def create_pipeline(parameters: EncoderPretrainParameters) -> Pipeline:
    """Tools and descriptions, an LLM if none is given, the encoder, and decoded descriptions.

    Args:
        parameters: decide whether a language model is made.

    ```
    load_tools ── tool_registry, tool_configs ─┬─ describe_configs ─ tool_descriptions, …_unseen
                                               └─ make_language_model ─ small_language_model
    all of these, encoder_checkpoints ── pretrain_encoder ─ pretrained_encoder, encoder_history
    pretrained_encoder ── decode_descriptions ─ decoded_descriptions, description_match
    ```
    """
    # Without a configured LLM, a small one is trained; nodes then load either from its files.
    small = [] if parameters.language_model else [SMALL]
    described = ["tool_descriptions", "tool_descriptions_unseen"]
    tools = ["tool_registry", "tool_configs"]
    training = [*tools, "tool_descriptions", CHECKPOINTS, PARAMETERS, *small]
    trained = ["pretrained_encoder", "encoder_history", "encoder_summary"]
    reading = [f"{PARTS}.language_model", f"{PARTS}.decoding", *small]
    decoding = ["pretrained_encoder", "tool_registry", *described, *reading]
    decoded = ["decoded_descriptions", "description_match"]
    plotted = ["encoder_history", "description_match", f"{PARTS}.training.target_loss"]
    plots = ["encoder_loss_plot", "description_match_plot"]
    augmentation, seed, prompt = (f"{PARTS}.{name}" for name in ("augmentation", "seed", "prompt"))
    files = [f"{PARTS}.tool_registry", f"{PARTS}.tool_configs", seed]
    augmented = ["tool_configs", augmentation, seed]
    nodes = [
        Node(load_tools, files, tools, name="load_tools"),
        Node(describe_configs, augmented, described, name="describe_configs"),
        Node(pretrain_encoder, training, trained, name="pretrain_encoder"),
        Node(decode_descriptions, decoding, decoded, name="decode_descriptions"),
        Node(plot_pretraining, plotted, plots, name="plot_pretraining"),
    ]
    if small:
        inputs = ["tool_configs", CHECKPOINTS, f"{PARTS}.{SMALL}", prompt, augmentation]
        nodes.append(Node(make_language_model, inputs, SMALL, name="make_language_model"))
    return Pipeline(nodes)
