"""The registered model: MLflow runs this file (models-from-code) and gets one pyfunc for both kinds of model.

A text column goes in, one double per label comes out. The package itself travels with the model. Where an executor of
Spark has several workers, `model_config={"threads": 1}` lets each of them use one core.
"""

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from conflict_claims.runtime import MAX_CHARACTERS, ClaimModel, load
from conflict_claims.text import normalise


class ClaimsPyfunc(PythonModel):  # type: ignore[misc]
    """Calibrated probabilities of every claim type for each sentence."""

    model: ClaimModel

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model folder that was logged beside this code."""
        threads = (context.model_config or {}).get("threads", 0)
        self.model = load(context.artifacts["model_folder"], threads=threads)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """A column `text` of sentences in, one column of probabilities per label out; NaN beside what is no sentence.

        One empty row in a million must not end a job on a cluster.
        """
        texts = model_input["text"].tolist()
        sound = [k for k, t in enumerate(texts) if isinstance(t, str) and len(t) <= MAX_CHARACTERS and normalise(t)]
        found = np.full((len(texts), len(self.model.labels)), np.nan)
        found[sound] = self.model.predict_proba([texts[k] for k in sound])
        return pd.DataFrame(found, columns=list(self.model.labels))


set_model(ClaimsPyfunc())
