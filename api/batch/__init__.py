"""Many questions from one file of JSON lines."""

from api.batch.serial import run_batch

__all__ = ["run_batch"]
