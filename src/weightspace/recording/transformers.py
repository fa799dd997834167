"""The callback for the trainer of Hugging Face's transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightspace.recording import settings
from weightspace.recording.callbacks import Session, whole


def callback(session: Session) -> Any:
    """A `transformers.TrainerCallback` that records each `train`."""
    import transformers

    class Recording(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]  # may be missing
        """Records a run of a trainer."""

        def __init__(self) -> None:
            self._session = session

        def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            if state.is_world_process_zero:
                read, total = _read(args, objects), whole(state.max_steps)
                self._session.begin(objects["model"], read, state.global_step, total)

        def on_step_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            if (run := self._session.run) is not None:
                run.step(step=state.global_step, epoch=state.epoch)

        def on_log(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            loss = objects.get("logs", {}).get("loss")
            if (run := self._session.run) is not None and isinstance(loss, float):
                run.measured(logged_loss=loss)

        def on_evaluate(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            self._session.measured(objects.get("metrics") or {}, "eval_")

        def on_epoch_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            # Afterwards the trainer may load the best weights.
            if (run := self._session.run) is not None and control.should_training_stop:
                run.last()

        def on_train_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            self._session.close()

        def leave(self) -> None:
            """Stop, where the library ended with an error, so that the run can be continued."""
            self._session.leave()

    return Recording()


def _read(args: Any, objects: Mapping[str, Any]) -> dict[str, Any]:
    """What the arguments and the objects of a trainer state."""
    optimizer = settings.unwrapped(objects["optimizer"])
    found = settings.of_optimizer(optimizer)
    if "weight_decay" not in found:  # by default norms and biases are left out
        decays = {group.get("weight_decay") for group in optimizer.param_groups}
        found["weight_decay"] = args.weight_decay if decays == {0.0, args.weight_decay} else None
    found |= _schedule(args, objects.get("lr_scheduler"))
    found["batch_size"] = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    if args.max_steps <= 0:
        found["epochs"] = whole(args.num_train_epochs)
    found["seed"] = args.seed
    found["label_smoothing"] = args.label_smoothing_factor
    return found


def _schedule(args: Any, scheduler: Any) -> dict[str, Any]:
    """The schedule: the library's own ones have a name in the arguments, others a class."""
    inner = getattr(scheduler, "scheduler", scheduler)
    functions = getattr(inner, "lr_lambdas", None) or [None]
    home = getattr(getattr(functions[0], "func", functions[0]), "__module__", None) or ""
    if home.startswith("transformers."):
        return {"schedule": str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))}
    return settings.of_scheduler(inner)
