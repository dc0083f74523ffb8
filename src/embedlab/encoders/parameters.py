"""Parameters of encoders and of how they run."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, RootModel

from embedlab.parameters import OneLineErrors, Parameters

Role = Literal["query", "document"]
Backend = Literal["torch", "openvino"]


class ModelSource(Parameters):
    """Where a model's files are.

    Attributes:
        model: a folder, a `.gguf` file, `package:NAME/SUBFOLDER`, or a Hugging Face id.
        revision: the commit or tag of a Hugging Face id.
        sha256: the expected hash of the weights file; None does not check it.
        trust_remote_code: run Python code from the model's folder.
    """

    # The model's name in error messages.
    noun: ClassVar[str] = "encoder model"

    model: str
    revision: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    trust_remote_code: bool = False


class ModelParameters(ModelSource):
    """Parameters of every transformer encoder.

    Attributes:
        max_length: upper bound on the tokens of a text, the rest is cut off; None: the model's own,
            for a causal language model at most 512.
        prompts: text put before each text, by role; None: the model's own prompts.
        normalize: divide each vector by its L2 norm.
    """

    max_length: int | None = Field(None, ge=2)
    prompts: dict[Role, str] | None = None
    normalize: bool = True


class SentenceTransformerParameters(ModelParameters):
    """Any model that `SentenceTransformer(model)` loads."""

    kind: Literal["sentence_transformer"]


class LanguageModelSource(ModelSource):
    """Where a causal language model's files are.

    Attributes:
        gguf_file: the file to load from a folder or a Hugging Face id of GGUF files.
    """

    noun: ClassVar[str] = "language model"

    gguf_file: str | None = None


class CausalLMParameters(ModelParameters):
    """The mean over a text's tokens of a causal language model's last hidden states."""

    kind: Literal["causal_lm"]
    gguf_file: str | None = None


class HashingParameters(Parameters):
    """Hashed character n-grams: deterministic, fast and untrained, for tests."""

    kind: Literal["hashing"]
    dimension: int = Field(64, ge=2)


# To add a kind: its parameters, also in this union; a class with `encode`; a branch in
# `load_encoder`; in `Recipe.description`, each parameter that changes vectors.
AnyEncoder = SentenceTransformerParameters | CausalLMParameters | HashingParameters


class EncoderParameters(
    RootModel[Annotated[AnyEncoder, Field(discriminator="kind")]], OneLineErrors
):
    """One encoder, of the kind that its `kind` names."""


class RayParameters(Parameters):
    """The Ray cluster that encodes, and its workers.

    Attributes:
        address: `auto` for the cluster of this machine; None: the one that `RAY_ADDRESS` names or
            that runs here, else one of this machine for this run.
        num_workers: number of encoding processes; None: as many as the cluster has room for.
        num_cpus: logical CPUs that a worker takes.
        num_gpus: GPUs that a worker takes; 0: it encodes on the CPU.
        num_threads: threads of a worker; None: `num_cpus`. As many as of a local run give its bits.
        max_texts: upper bound on the texts that a worker gets at once. Few leave the last batch of
            each length emptier, which a GPU feels.
        max_losses: how many workers a text may end, or may end in a row while they load.
    """

    address: str | None = None
    num_workers: int | None = Field(None, ge=1)
    num_cpus: float = Field(1, gt=0)
    num_gpus: float = Field(0, ge=0)
    num_threads: int | None = Field(None, ge=1)
    max_texts: int = Field(16384, ge=1)
    max_losses: int = Field(3, ge=1)


class ExecutionParameters(Parameters):
    """How encoding runs; of these, backend and precision change vectors and fingerprints.

    Attributes:
        backend: what computes transformers; openvino (an extra) is for processors alone.
        engine: processes of this machine, or workers of a Ray cluster.
        ray: the cluster and its workers.
        precision: `auto` is bfloat16 where the processor computes it natively, else float32.
        tokens_per_batch: tokens per forward pass, padding included; None: chosen by device.
        processes: number of encoding processes; None: one per GPU, or one without a GPU.
        shard_size: vectors per file of the store; a shard of a slow encoder is closed earlier.
    """

    backend: Backend = "torch"
    engine: Literal["local", "ray"] = "local"
    ray: RayParameters = RayParameters()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    tokens_per_batch: int | None = Field(None, ge=16)
    processes: int | None = Field(None, ge=1)
    shard_size: int = Field(4096, ge=1)
