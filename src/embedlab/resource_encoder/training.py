"""Pre-training of the resource encoder through a frozen LLM that generates the descriptions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from embedlab.distributed.processes import training_device
from embedlab.encoders.parameters import LanguageModelSource
from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.resource_encoder.descriptions import INSTRUCTIONS
from embedlab.resource_encoder.encoder import ResourceEncoder, ResourceEncoderParameters
from embedlab.resource_encoder.language_model import LanguageModel, load_language_model
from embedlab.resource_encoder.prompt import VectorPrompt, check_prompt
from embedlab.resource_encoder.provenance import REMEDY
from embedlab.resource_encoder.samples import DescribedConfigs
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.history import History
from embedlab.training.loop import train
from embedlab.training.parameters import LoopParameters
from embedlab.training.recomputation import recompute_activations
from embedlab.training.step_log import StepLog
from embedlab.training.task import Losses, Task

MEASURE = "validation_loss"


class ResourceLoopParameters(LoopParameters):
    """How the encoder is trained.

    Attributes:
        min_steps: raises `max_epochs` until training has this many steps; a small profile has few
            steps per epoch, yet needs about as many in total.
        target_loss: training stops when the mean loss over the configurations, without augmented
            copies, is at most this, in nats per token; null for no target.
        gradient_checkpointing: recompute the LLM's activations in the backward pass instead of
            storing them; the prompt's prefix is then not cached.
    """

    max_epochs: int = Field(100, ge=1)
    min_steps: int = Field(0, ge=0)
    learning_rate: float = Field(1e-4, gt=0)
    target_loss: float | None = Field(0.01, gt=0)
    gradient_checkpointing: bool = False

    def for_samples(self, num_samples: int) -> Self:
        """The parameters, with `max_epochs` raised to as many as `min_steps` take."""
        num_batches = -(-num_samples // self.batch_size)
        steps_per_epoch = -(-num_batches // self.accumulation_steps)
        epochs = max(self.max_epochs, -(-self.min_steps // steps_per_epoch))
        return self.model_copy(update={"max_epochs": epochs})


class ResourceTrainingParameters(Parameters):
    """Everything that determines the trained encoder, except the data and the LLM.

    Attributes:
        prompt: text around the vector, with `<|resource|>` in its place and, after it,
            `{instruction}`.
        seed: of the initialisation and the order of samples.
    """

    prompt: Annotated[str, AfterValidator(check_prompt)]
    encoder: ResourceEncoderParameters = ResourceEncoderParameters()
    training: ResourceLoopParameters = ResourceLoopParameters()
    seed: Seed = 0


@dataclass(frozen=True)
class ResourceData:
    """The input of a pre-training.

    Attributes:
        tool_descriptions: one text per tool.
        configs: the configurations without augmentation; they validate the encoder although they
            are among the samples, since the encoder is to memorise them.
    """

    language_model: LanguageModelSource
    tool_descriptions: Sequence[str]
    samples: DescribedConfigs
    configs: DescribedConfigs


def train_resource_encoder(
    data: ResourceData,
    parameters: ResourceTrainingParameters,
    checkpoint: Checkpoint,
    log: StepLog | None = None,
) -> tuple[dict[str, Any], History]:
    """Train the encoder so that the frozen LLM generates a configuration's text from its vector.

    Training stops at the target loss on the configurations without augmentation.

    Returns:
        The best encoder, as `encoder` (its state) and `num_heads`; and the validations.

    Raises:
        InputError: as `train` does, and if the LLM cannot be loaded.
    """
    training = parameters.training.for_samples(len(data.samples))
    device = training_device()
    language_model = load_language_model(data.language_model, training.precision, device)
    if training.gradient_checkpointing:
        enable_gradient_checkpointing(language_model)
    caches_prefix = not training.gradient_checkpointing
    prompt = VectorPrompt(language_model, parameters.prompt, INSTRUCTIONS, caches_prefix)
    with torch.random.fork_rng():
        torch.manual_seed(parameters.seed)
        encoder = new_encoder(language_model, data, parameters.encoder).to(device)
    validation = DescriptionLosses(encoder, prompt, data.configs)
    task = Task(
        name="encoder",
        model=encoder,
        losses=DescriptionLosses(encoder, prompt, data.samples),
        num_items=len(data.samples),
        validate=partial(mean_loss, validation, training.batch_size),
        measure=MEASURE,
        target=training.target_loss,
    )
    groups = [{"params": list(encoder.parameters()), "lr": training.learning_rate}]
    history = train(task, groups, training, parameters.seed, checkpoint, log)
    state = {key: value.cpu() for key, value in encoder.state_dict().items()}
    return {"encoder": state, "num_heads": encoder.num_heads}, history


def new_encoder(
    language_model: LanguageModel, data: ResourceData, parameters: ResourceEncoderParameters
) -> ResourceEncoder:
    """An encoder for this LLM with initial weights."""
    tools = represent(language_model, data.tool_descriptions, parameters.tool_representation)
    llm_config: Any = language_model.model.config.get_text_config()
    num_heads = parameters.num_heads or llm_config.num_attention_heads
    encoder = ResourceEncoder(tools.cpu(), language_model.embedding_norm(), num_heads, parameters)
    encoder.resource_mlp.standardise.fit(data.configs.values)
    return encoder


def load_resource_encoder(content: dict[str, Any]) -> ResourceEncoder:
    """The encoder of a `pretrained_encoder.pt`, on the CPU and in evaluation mode.

    Raises:
        InputError: if the content is no such encoder.
    """
    if not {"encoder", "parameters", "num_heads"} <= content.keys():
        raise InputError(f"pretrained_encoder: holds no resource encoder; {REMEDY}")
    state = content["encoder"]
    parameters = ResourceEncoderParameters.model_validate(content["parameters"]["encoder"])
    encoder = ResourceEncoder(state["tools"], 1.0, content["num_heads"], parameters)
    encoder.load_state_dict(state)
    return encoder.eval()


@torch.no_grad()
def represent(
    language_model: LanguageModel,
    texts: Sequence[str],
    kind: Literal["mean_embedding", "last_hidden_state"],
) -> Tensor:
    """Vectors of texts from the LLM, one text at a time.

    Returns:
        float32 `(n, h)`: per text the mean of its tokens' input embeddings, including special
        tokens, or the last hidden state of its last token.
    """
    vectors = []
    for text in texts:
        ids = torch.tensor([language_model.token_ids(text, special=True)])
        ids = ids.to(language_model.device)
        if kind == "mean_embedding":
            vectors.append(language_model.embedding.weight[ids[0]].float().mean(dim=0))
        else:
            language_model.check_length(ids.shape[1], "the description of a tool")
            options = {"output_hidden_states": True, "use_cache": False, "logits_to_keep": 1}
            output = language_model.model(input_ids=ids, **options)
            vectors.append(output.hidden_states[-1][0, -1].float())
    return torch.stack(vectors)


def enable_gradient_checkpointing(language_model: LanguageModel) -> None:
    """Recompute the LLM's layers in the backward pass.

    Raises:
        InputError: if no layer supports it.
    """
    for layer in recompute_activations(language_model.model):
        layer.training = True  # only then it recomputes; dropout inside it stays off


class DescriptionLosses:
    """The LLM's loss on the descriptions of a batch, given the vectors of its configurations."""

    def __init__(self, encoder: ResourceEncoder, prompt: VectorPrompt, samples: DescribedConfigs):
        self.encoder, self.prompt, self.samples = encoder, prompt, samples
        self.targets = [prompt.target(text) for text in samples.texts]
        length = prompt.num_tokens(max(self.targets, key=len))
        prompt.language_model.check_length(length, "the prompt with the longest description")

    def __call__(self, model: nn.Module, indices: Tensor, seed: int) -> Losses:
        """The mean over these samples of the loss per token, and what the encoder monitors."""
        rows: list[int] = indices.tolist()
        device = self.prompt.language_model.device
        vectors = model(self.samples.tools[rows].to(device), self.samples.values[rows].to(device))
        wordings = [self.samples.wordings[row] for row in rows]
        losses = self.prompt.losses(vectors, wordings, [self.targets[row] for row in rows])
        return {"loss": losses.mean()} | self.encoder.monitored()


def mean_loss(losses: DescriptionLosses, batch_size: int) -> float:
    """The mean over all samples of the loss per token, with the encoder's present weights."""
    batches = torch.arange(len(losses.samples)).split(batch_size)
    sums = [losses(losses.encoder, batch, 0)["loss"] * len(batch) for batch in batches]
    return math.fsum(loss.item() for loss in sums) / len(losses.samples)
