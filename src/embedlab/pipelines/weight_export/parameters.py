"""Parameters of the weight_export pipeline."""

from pydantic import Field

from embedlab.parameters import Parameters
from embedlab.resource_encoder.demonstration import DecoderDemonstrationParameters


class WeightExportParameters(Parameters):
    """The export of vectors and its demonstration.

    Attributes:
        batch_size: configurations encoded per batch.
        demonstration: training of a decoder that starts from the vectors.
    """

    batch_size: int = Field(1024, ge=1)
    demonstration: DecoderDemonstrationParameters = DecoderDemonstrationParameters()
