"""The registered model: MLflow runs this file (models-from-code) and gets one pyfunc for both kinds of model.

A text column goes in, one double per label comes out. The package itself travels with the model.
"""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from conflict_claims.runtime import ClaimModel, load


class ClaimsPyfunc(PythonModel):  # type: ignore[misc]
    """Calibrated probabilities of every claim type for each sentence."""

    model: ClaimModel

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model folder that was logged beside this code."""
        self.model = load(context.artifacts["model_folder"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """A column `text` of sentences in, one column of probabilities per label out."""
        texts = model_input["text"].tolist()
        return pd.DataFrame(self.model.predict_proba(texts), columns=list(self.model.labels))


set_model(ClaimsPyfunc())
