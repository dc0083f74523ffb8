"""Parameters of one training of an isotropic projection."""

from pydantic import Field

from embedlab.isotropic.hard_negatives import HardNegativeParameters
from embedlab.isotropic.loss import ObjectiveParameters
from embedlab.isotropic.projection import ProjectionParameters
from embedlab.parameters import Parameters, Seed
from embedlab.training.parameters import LoopParameters


class ValidationParameters(Parameters):
    """How nDCG@10 is measured while training goes on.

    Attributes:
        max_queries: validation queries, at most.
        max_documents: documents searched, at most: the relevant ones, and others at random.
    """

    max_queries: int = Field(1000, ge=1)
    max_documents: int = Field(20_000, ge=1)


class IsotropicTrainingParameters(Parameters):
    """How a projection is trained, alone or with its base.

    Attributes:
        freeze_base: train the projection alone, on cached vectors.
        frozen_layers: with an unfrozen base, its embeddings and so many layers stay as they are;
            null for none at all.
        gradient_checkpointing: with an unfrozen base, less memory for more time.
        base_learning_rate: of an unfrozen base.
        projection_learning_rate: of the projection.
        projection: its shape.
        objective: the losses.
        hard_negatives: mined from the cache, beside the negatives that pairs bring.
        training: the loop.
        validation: what decides which weights are kept.
        seed: of initialisation, order, dropout and directions.
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
        """Whether cached vectors are used, be it only to mine hard negatives."""
        return self.freeze_base or self.hard_negatives.count > 0
