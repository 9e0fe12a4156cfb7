"""A client of the service, for a shop's backend or app. It needs httpx, and nothing else of recsvc.

from recsvc.client import Client

with Client("https://recommendations.example.com", "recsvc_…") as recommendations:
    shown = recommendations.recommend_to_user("ana", k=5)
    recommendations.record_interaction(
        "ana", shown.items[0].item_id, "cart", recommendation_id=shown.recommendation_id
    )
"""

from recsvc.client.calls import Client
from recsvc.client.content import Interaction, ItemContent, ItemOfBatch, UserOfBatch
from recsvc.client.errors import (
    ConflictError,
    CredentialError,
    InvalidError,
    NoAnswerError,
    NotFoundError,
    ServiceError,
    TooManyRequestsError,
    UnavailableError,
)
from recsvc.client.results import (
    BatchOutcome,
    ErasureReceipt,
    Export,
    InteractionBatchOutcome,
    Item,
    MergeOutcome,
    ModelVersion,
    Reason,
    Recommendations,
    RecommendedItem,
    Rejected,
    ShownRecommendation,
    Stored,
    StoredInteraction,
    Token,
    TrainingRequested,
    TrainingRun,
    User,
)

__all__ = [
    "BatchOutcome",
    "Client",
    "ConflictError",
    "CredentialError",
    "ErasureReceipt",
    "Export",
    "Interaction",
    "InteractionBatchOutcome",
    "InvalidError",
    "Item",
    "ItemContent",
    "ItemOfBatch",
    "MergeOutcome",
    "ModelVersion",
    "NoAnswerError",
    "NotFoundError",
    "Reason",
    "Recommendations",
    "RecommendedItem",
    "Rejected",
    "ServiceError",
    "ShownRecommendation",
    "Stored",
    "StoredInteraction",
    "Token",
    "TooManyRequestsError",
    "TrainingRequested",
    "TrainingRun",
    "UnavailableError",
    "User",
    "UserOfBatch",
]
