"""The callback for the `fit` of Keras models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightspace.recording import settings
from weightspace.recording.callbacks import Session, whole


def callback(session: Session) -> Any:
    """A `keras.callbacks.Callback` that records each `fit`."""
    import keras

    class Recording(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]  # may be missing
        """Records a run of a model."""

        def __init__(self) -> None:
            super().__init__()
            self._session = session
            self._before = self._epoch = 0  # steps before this epoch, and its number

        def on_train_begin(self, logs: Any = None) -> None:
            self._session.leave()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = epoch
            if self._session.run is not None:
                self._before = self._session.run.steps
                return
            self._before = int(self.model.optimizer.iterations)  # those of earlier calls, too
            steps, epochs = whole(self.params.get("steps")), self.params["epochs"]
            total = self._before + steps * (epochs - epoch) if steps else None
            read = settings.of_optimizer(self.model.optimizer) | {"epochs": whole(epochs)}
            self._session.begin(self.model, read, self._before, total)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (run := self._session.run) is not None:
                steps = whole(self.params.get("steps"))
                epoch = self._epoch + (batch + 1) / steps if steps else None
                run.step(step=self._before + batch + 1, epoch=epoch)

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            logs = logs or {}
            if (run := self._session.run) is not None and isinstance(logs.get("loss"), float):
                run.measured(logged_loss=logs["loss"])
            self._session.measured(logs, "val_")

        def on_train_end(self, logs: Any = None) -> None:
            self._session.close()

        def leave(self) -> None:
            """Stop, where the library ended with an error, so that the run can be continued."""
            self._session.leave()

    return Recording()
