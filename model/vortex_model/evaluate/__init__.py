"""Evaluation: protocols, baselines, metrics; what was not seen is predicted and compared."""

from vortex_model.evaluate.protocols import PROTOCOLS
from vortex_model.evaluate.report import markdown, table
from vortex_model.evaluate.run import evaluate
from vortex_model.evaluate.studies import evaluate_studies

__all__ = ["PROTOCOLS", "evaluate", "evaluate_studies", "markdown", "table"]
