"""Other people's names of settings, and of optimizers and data sets, in the spelling of recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from weightspace.evidence.record import Value

_NAMES: Mapping[str, str] = {
    "learning_rate": "lr learningrate base_lr init_lr initial_lr lr0 lrate base_learning_rate "
    "initial_learning_rate learning_rate_init",
    "batch_size": "bs batchsize batch train_batch_size train_bs batch_size_train mini_batch_size "
    "minibatch_size per_device_train_batch_size per_gpu_train_batch_size",
    "epochs": "n_epochs num_epochs max_epochs nepochs nepoch n_epoch num_epoch num_train_epochs "
    "total_epochs nb_epochs nb_epoch train_epochs epoch_num",
    "steps": "max_steps total_steps num_steps n_steps max_iter max_iters n_iters num_iters "
    "iterations num_iterations train_steps num_train_steps total_iters global_step",
    "weight_decay": "wd weightdecay l2 l2_reg weight_decay_rate",
    "momentum": "mom sgd_momentum",
    "optimizer": "optim opt optimizer_name optimizer_type optim_name opt_name optim_type",
    "seed": "manual_seed manualseed random_seed rng_seed random_state torch_seed",
    "dataset": "data_set dataset_name data_name dset train_dataset datasets",
    "activation": "act activation_fn act_fn nonlinearity activation_function hidden_act",
    "dropout": "drop_rate dropout_rate dropout_p p_dropout dropout_prob drop_prob",
    "label_smoothing": "smoothing label_smooth label_smoothing_factor",
    "schedule": "scheduler lr_scheduler sched lr_schedule lr_scheduler_type scheduler_name",
    "gradient_clipping": "grad_clip clip_grad clip_grad_norm max_grad_norm gradient_clip_val "
    "grad_clip_norm gradient_clip",
    "train_images": "n_train num_train train_images num_train_images num_train_samples",
    "precision": "dtype torch_dtype",
    "beta1": "b1 beta_1 adam_beta1",
    "beta2": "b2 beta_2 adam_beta2",
    "epsilon": "eps adam_epsilon adam_eps",
    "alpha": "rmsprop_alpha",
    "drop_last": "dataloader_drop_last",
}
_CLAIMS = {other: name for name, others in _NAMES.items() for other in (name, *others.split())}
_TEXTS = frozenset({"optimizer", "dataset", "activation", "schedule", "precision"})
_WHOLE = frozenset({"batch_size", "epochs", "steps", "seed", "train_images"})
_DATASETS = {
    "mnist": "mnist", "fashionmnist": "fashion_mnist", "fmnist": "fashion_mnist",
    "cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn", "kmnist": "kmnist",
}  # fmt: skip
_OPTIMIZERS: Mapping[str, tuple[str, ...]] = {
    "sgd": ("sgd", "momentum", "nesterov"),
    "momentum": ("momentum",),
    "nesterov": ("nesterov",),
}
_DEEPEST = 4
_MOST = 10_000  # settings of a file


def claim_of(name: str) -> str:
    """The claim that a setting's name means; "" for another setting.

    Parameters
    ----------
    name : str
        The name, such as "learning-rate" or "numEpochs".

    Returns
    -------
    str

    Examples
    --------
    >>> claim_of("learning-rate"), claim_of("numEpochs"), claim_of("out")
    ('learning_rate', 'epochs', '')
    """
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).lower()
    plain = re.sub(r"[\s.-]+", "_", plain).strip("_")
    return _CLAIMS.get(plain) or _CLAIMS.get(name.strip().lower(), "")


def values_of(claim: str, value: Any) -> tuple[Value, ...]:
    """The values of a claim that a setting states, spelled as recipes spell them.

    Parameters
    ----------
    claim : str
        The claim.
    value : object
        The setting: a number, or text.

    Returns
    -------
    tuple of str, int, float or bool
        Several if the setting leaves some open; empty if it is no possible value.
    """
    if claim in _TEXTS:
        return _texts(claim, value) if isinstance(value, str) and 0 < len(value) <= 100 else ()
    if isinstance(value, str):
        value = _number(value)
    if claim == "drop_last":
        return (value,) if isinstance(value, bool) else ()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ()
    if claim not in _WHOLE:
        return (float(value),) if value >= 0 else ()
    least = 0 if claim == "seed" else 1
    return (int(value),) if least <= value < 2**63 and value == int(value) else ()


def _texts(claim: str, value: str) -> tuple[Value, ...]:
    plain = value.strip().rpartition(".")[2].lower()
    if claim == "dataset":
        found = _DATASETS.get(re.sub(r"[^a-z0-9]", "", plain))
        return (found or plain,)
    if claim == "optimizer":
        return _OPTIMIZERS.get(plain, (plain,))
    return (plain,)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def stated(value: Any, depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """What settings state of claims: the claim, the setting's name, and its value as it stands.

    Parameters
    ----------
    value : object
        Settings: dicts within dicts, down to the fourth.

    Yields
    ------
    tuple of str, str and object
    """
    if not isinstance(value, Mapping) or depth >= _DEEPEST:
        return
    for _, (name, inner) in zip(range(_MOST), value.items(), strict=False):
        claim = claim_of(name) if isinstance(name, str) else ""
        if isinstance(inner, Mapping):
            yield from stated(inner, depth + 1)
        elif claim:
            yield claim, name, inner
        elif name == "betas" and isinstance(inner, list | tuple) and len(inner) == 2:
            yield "beta1", name, inner[0]
            yield "beta2", name, inner[1]
