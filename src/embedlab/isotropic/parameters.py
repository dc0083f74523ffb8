"""Parameters of one training of an isotropic projection."""

from pydantic import Field

from embedlab.isotropic.hard_negatives import HardNegativeParameters
from embedlab.isotropic.loss import ObjectiveParameters
from embedlab.isotropic.projection import ProjectionParameters
from embedlab.parameters import Parameters, Seed
from embedlab.training.parameters import LoopParameters


class ValidationParameters(Parameters):
    """The size of the retrieval problem on which nDCG@10 is measured during training.

    Attributes:
        max_queries: upper bound of the validation queries.
        max_documents: upper bound of the documents searched: the relevant ones, which are always
            among them, and a random sample of the others.
    """

    max_queries: int = Field(1000, ge=1)
    max_documents: int = Field(20_000, ge=1)


class IsotropicTrainingParameters(Parameters):
    """How a projection is trained, alone or together with its base encoder.

    Attributes:
        freeze_base: train the projection alone, on cached vectors.
        frozen_layers: number of the base's first transformer layers that are not trained, nor its
            embeddings; null trains everything. Unfrozen base only.
        gradient_checkpointing: save memory at the cost of time. Unfrozen base only.
        base_learning_rate: of an unfrozen base.
        hard_negatives: mined from the cached vectors, in addition to those given with the pairs.
        validation: decides which step's weights are kept.
        seed: of initialisation, order, dropout and SIGReg's directions.
    """

    freeze_base: bool = True
    frozen_layers: int | None = Field(None, ge=0)
    gradient_checkpointing: bool = False
    base_learning_rate: float = Field(1e-5, gt=0)
    projection_learning_rate: float = Field(5e-4, gt=0)
    projection: ProjectionParameters = ProjectionParameters()
    objective: ObjectiveParameters = ObjectiveParameters()
    hard_negatives: HardNegativeParameters = HardNegativeParameters()
    training: LoopParameters = LoopParameters()
    validation: ValidationParameters = ValidationParameters()
    seed: Seed = 0

    @property
    def needs_vectors(self) -> bool:
        """Whether cached vectors are read, to train on or only to mine hard negatives."""
        return self.freeze_base or self.hard_negatives.count > 0
