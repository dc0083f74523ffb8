"""What can be said of an encoder, and of how it runs, in parameters."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, RootModel

from embedlab.parameters import OneLineErrors, Parameters

Role = Literal["query", "document"]


class ModelSource(Parameters):
    """Where a model's files are.

    Attributes:
        model: a folder, a `.gguf` file, `package:NAME/SUBFOLDER`, or a Hugging Face id.
        revision: the commit or tag of a Hugging Face id.
        sha256: if given, what the weights file must hash to.
        trust_remote_code: let the model's folder bring Python code that runs here.
    """

    # What messages call it.
    noun: ClassVar[str] = "encoder model"

    model: str
    revision: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    trust_remote_code: bool = False


class ModelParameters(ModelSource):
    """What every encoder that is a transformer needs.

    Attributes:
        max_length: tokens kept of each text; the model's own limit when absent.
        prompts: text put before each text, by role; the model's own prompts when absent.
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
    """The mean of a causal language model's last hidden states over the text's tokens."""

    kind: Literal["causal_lm"]
    gguf_file: str | None = None
    max_length: int = Field(512, ge=2)


class HashingParameters(Parameters):
    """Hashed character n-grams: deterministic, instant and untrained, for tests."""

    kind: Literal["hashing"]
    dimension: int = Field(64, ge=2)


AnyEncoder = SentenceTransformerParameters | CausalLMParameters | HashingParameters


class EncoderParameters(
    RootModel[Annotated[AnyEncoder, Field(discriminator="kind")]], OneLineErrors
):
    """One encoder, of the kind that `kind` names."""


class ExecutionParameters(Parameters):
    """How encoding runs. The precision is part of the fingerprint; the rest only steers the work.

    Attributes:
        precision: `auto` is bfloat16 where the processor computes it natively, else float32.
        tokens_per_batch: tokens in one forward pass, padding included; chosen by device if absent.
        processes: encoding processes; one for each GPU, or a single one, if absent.
        shard_size: vectors in one file of the store; a slow encoder's shards are closed sooner.
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    tokens_per_batch: int | None = Field(None, ge=16)
    processes: int | None = Field(None, ge=1)
    shard_size: int = Field(4096, ge=1)
