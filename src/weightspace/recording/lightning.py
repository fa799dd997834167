"""The callback for Lightning's trainer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from weightspace.recording import settings
from weightspace.recording.callbacks import Session, whole


def callback(session: Session) -> Any:
    """A `lightning.Callback` that records each `fit`."""
    import lightning

    class Recording(lightning.Callback):  # type: ignore[misc, unused-ignore]  # may be missing
        """Records a run of a trainer."""

        def __init__(self) -> None:
            self._session = session

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                total = whole(trainer.estimated_stepping_batches)
                self._session.begin(pl_module, _read(trainer), trainer.global_step, total)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            run = self._session.run
            if run is None:
                return
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            count = whole(trainer.num_training_batches)
            epoch = trainer.current_epoch + (batch_idx + 1) / count if count else None
            run.step(step=trainer.global_step, epoch=epoch, loss=loss)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                self._session.measured(_validation(trainer.callback_metrics), "val_")

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self._session.close()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self._session.leave()

        def leave(self) -> None:
            """Stop, where the library ended with an error, so that the run can be continued."""
            self._session.leave()

    return Recording()


def _validation(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"val_{name.removeprefix('validation_')}" if name.startswith("validation_") else name: value
        for name, value in metrics.items()
    }


def _read(trainer: Any) -> dict[str, Any]:
    """What a trainer states; where it has several optimizers, their settings are unknown."""
    found: dict[str, Any] = {}
    if len(trainer.optimizers) == 1:
        found |= settings.of_optimizer(trainer.optimizers[0])
    if len(trainer.lr_scheduler_configs) == 1:
        found |= settings.of_scheduler(trainer.lr_scheduler_configs[0].scheduler)
    if trainer.max_steps == -1 and trainer.limit_train_batches == 1.0:
        found["epochs"] = whole(trainer.max_epochs)
    size = getattr(trainer.train_dataloader, "batch_size", None)
    if isinstance(size, int):
        found["batch_size"] = size * trainer.accumulate_grad_batches * trainer.world_size
    seed = os.environ.get("PL_GLOBAL_SEED", "")  # of seed_everything
    found["seed"] = int(seed) if seed.isdecimal() else None
    return found
