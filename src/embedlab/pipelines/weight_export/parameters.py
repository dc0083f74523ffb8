"""Parameters of the weight_export pipeline."""

from pydantic import Field

from embedlab.parameters import Parameters
from embedlab.resource_encoder.demonstration import DecoderDemonstrationParameters


class WeightExportParameters(Parameters):
    """How vectors are exported.

    Attributes:
        batch_size: configurations encoded at a time.
        demonstration: how a decoder is trained from them.
    """

    batch_size: int = Field(1024, ge=1)
    demonstration: DecoderDemonstrationParameters = DecoderDemonstrationParameters()
