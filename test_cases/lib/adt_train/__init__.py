"""What training scripts share: settings, data, metrics, checkpoints, signals. Nothing of Ansible is in here."""

from adt_train.arguments import parse_arguments
from adt_train.environment import Environment
from adt_train.errors import UserError, run_main
from adt_train.metrics import MetricWriter
from adt_train.signals import EXIT_SAVED, StopRequest

__all__ = ["EXIT_SAVED", "Environment", "MetricWriter", "StopRequest", "UserError", "parse_arguments", "run_main"]
