"""The resource encoder: speed of a training step relative to a plain loop, and of the export.

pytest tests/benchmarks/test_resource_encoder.py -n 0 -s
"""

import copy
import math

import pytest
import torch
from support import ratio_to_peer
from synthetic_language_models import PROMPT, loaded, tiny_language_model
from torch.nn.functional import cross_entropy, normalize

from embedlab.resource_encoder.configs import default_tool_configs
from embedlab.resource_encoder.encoder import ResourceEncoder, ResourceEncoderParameters
from embedlab.resource_encoder.export import encode_configs
from embedlab.resource_encoder.prompt import INSTRUCTION, PLACEHOLDER, VectorPrompt
from embedlab.resource_encoder.samples import AugmentationParameters, DescribedConfigs, augment
from embedlab.resource_encoder.small_language_model import SmallLanguageModelParameters
from embedlab.resource_encoder.tools import default_tool_registry
from embedlab.resource_encoder.training import INSTRUCTIONS, DescriptionLosses, represent

pytestmark = pytest.mark.usefixtures("one_thread")

BATCH, MAX_LENGTH, ROUNDS = 64, 128, 7
PARAMETERS = ResourceEncoderParameters(tool_representation="last_hidden_state")
REGISTRY = default_tool_registry()


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """As large as the default small language model, with random weights."""
    shape = SmallLanguageModelParameters()
    return loaded(
        tiny_language_model(
            tmp_path_factory.mktemp("llm"),
            hidden_size=shape.hidden_size,
            intermediate_size=3 * shape.hidden_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_heads,
            initializer_range=0.1,
        )
    )


@pytest.fixture(scope="module")
def configs():
    rows = augment(default_tool_configs(REGISTRY, 0), AugmentationParameters(), 0)
    return DescribedConfigs.from_table(rows, REGISTRY["tool_name"].tolist())


@pytest.fixture(scope="module")
def encoder(language_model, configs):
    torch.manual_seed(0)
    tools = represent(language_model, REGISTRY["description"], "last_hidden_state")
    made = ResourceEncoder(tools, language_model.embedding_norm(), 8, PARAMETERS)
    made.resource_mlp.standardise.fit(configs.values)
    return made


class PlainLoop:
    """The simplest training step: recomputes everything except the tokens."""

    def __init__(self, encoder, language_model, configs, recomputes_tools):
        self.encoder, self.llm, self.configs = encoder, language_model, configs
        self.recomputes_tools = recomputes_tools
        descriptions = REGISTRY["description"].tolist()
        self.mean_tool = represent(language_model, descriptions, "last_hidden_state").mean(dim=0)
        self.descriptions = language_model.tokenizer(
            descriptions, padding=True, padding_side="right", return_tensors="pt"
        )
        self.sequences = [self.sequence(row) for row in range(len(configs))]

    def tools(self, positions):
        """The last hidden state of each sample's tool description, as the encoder scales it."""
        if not self.recomputes_tools:
            return self.encoder.tools[positions]
        given = {name: ids[positions] for name, ids in self.descriptions.items()}
        with torch.no_grad():
            states = self.llm.model.base_model(**given, use_cache=False).last_hidden_state
        last = given["attention_mask"].sum(dim=1) - 1
        tools = states[torch.arange(len(states)), last]
        return normalize(tools - self.mean_tool) * math.sqrt(tools.shape[1])

    def vectors(self, rows):
        encoder, tools = self.encoder, self.tools(self.configs.tools[rows])
        values = self.configs.values[rows]
        fused = encoder.fusion(encoder.tool_layer(tools), encoder.resource_mlp(values))
        return normalize(encoder.output_norm(fused), dim=1) * encoder.norm

    def sequence(self, row):
        """Padded token ids, attention mask, labels, and the index of the vector."""
        tokenizer, end = self.llm.tokenizer, self.llm.tokenizer.eos_token_id
        text = PROMPT.replace(INSTRUCTION, INSTRUCTIONS[self.configs.wordings[row]])
        before, after = (tokenizer(half)["input_ids"] for half in text.split(PLACEHOLDER))
        target = [*tokenizer(self.configs.texts[row])["input_ids"], end]
        ids = [*before, end, *after, *target]
        labels = [-100] * (len(ids) - len(target)) + target
        padding = MAX_LENGTH - len(ids)
        mask = [1] * len(ids) + [0] * padding
        return ids + [end] * padding, mask, labels + [-100] * padding, len(before)

    def loss(self, rows):
        rows = rows.tolist()
        columns = zip(*(self.sequences[row] for row in rows), strict=True)
        ids, mask, labels, indices = map(torch.tensor, columns)
        embedded = self.llm.model.get_input_embeddings()(ids)
        embedded[torch.arange(len(rows)), indices] = self.vectors(rows)
        logits = self.llm.model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).logits
        labels = labels[:, 1:]
        losses = cross_entropy(
            logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none"
        ).view(labels.shape)
        return (losses.sum(dim=1) / (labels != -100).sum(dim=1)).mean()


class Steps:
    """Training steps on the same batches for all encoders."""

    def __init__(self, encoder, n_configs, loss_of):
        self.loss_of, self.losses = loss_of, []
        self.optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
        order = torch.randperm(n_configs, generator=torch.Generator().manual_seed(0))
        self.batches = iter(order.split(BATCH))

    def __call__(self):
        loss = self.loss_of(next(self.batches))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(loss.item())


@pytest.mark.parametrize("recomputes_tools", [True, False])
def test_speed_of_a_training_step_relative_to_the_plain_loop(
    language_model, configs, encoder, benchmark, recomputes_tools
):
    first, second = copy.deepcopy(encoder), copy.deepcopy(encoder)
    prompt = VectorPrompt(language_model, PROMPT, INSTRUCTIONS)
    losses = DescriptionLosses(first, prompt, configs)
    plain = PlainLoop(second, language_model, configs, recomputes_tools)
    ours = Steps(first, len(configs), lambda rows: losses(first, rows, 0)["loss"])
    peer = Steps(second, len(configs), plain.loss)
    for steps in (ours, peer):
        steps()  # the first one is slow

    ratio = ratio_to_peer(benchmark, ours, peer, ROUNDS)
    worst = max(abs(a - b) for a, b in zip(ours.losses, peer.losses, strict=True))
    ratios = sorted(benchmark.extra_info["ratios"])
    print(
        f"\nbatches of {BATCH}, tools {'re' if recomputes_tools else 'not re'}computed by the "
        f"plain loop: {ratio:.1f} times its samples a second (from {ratios[0]:.1f} to "
        f"{ratios[-1]:.1f}), {BATCH / benchmark.stats.stats.median:.0f} samples/s; losses "
        f"{ours.losses[0]:.3f} to {ours.losses[-1]:.3f}, differences up to {worst:.1e}"
    )
    assert worst < 1e-3
    assert ratio >= 2


@pytest.mark.parametrize(
    ("hidden_size", "limit"), [(SmallLanguageModelParameters().hidden_size, 1), (3584, None)]
)
def test_the_export_of_all_configurations(configs, benchmark, hidden_size, limit):
    """With the hidden size of an LLM of 7 billion parameters: 0.4 TFLOP, so no limit."""
    encoder = ResourceEncoder(torch.randn(len(REGISTRY), hidden_size), 1.0, 8, PARAMETERS)
    rows = configs.take(range(1701))
    encoder.resource_mlp.standardise.fit(rows.values)
    weights = benchmark.pedantic(
        lambda: encode_configs(encoder.eval(), rows.tools, rows.values, 1024), rounds=3
    )
    seconds = benchmark.stats.stats.max
    print(f"\n{len(weights)} configurations x {hidden_size}: {seconds:.2f} s at most")
    assert weights.shape == (1701, hidden_size)
    assert limit is None or seconds < limit
