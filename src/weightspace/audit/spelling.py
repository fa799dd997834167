"""How people spell hyper-parameters, and how recipes do: tables of keys and of names."""

from __future__ import annotations

import re
from collections.abc import Mapping

KEYS: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("optim", "optimiser", "opt", "optimizer_type", "optimizer_name"),
    "momentum": ("mom", "sgd_momentum"),
    "learning_rate": ("lr", "base_lr", "initial_lr", "init_lr", "start_lr",
                      "initial_learning_rate"),
    "weight_decay": ("wd", "decay_weight"),
    "batch_size": ("bs", "batch", "batchsize", "train_batch_size", "total_train_batch_size",
                   "per_device_train_batch_size", "training_batch_size"),
    "epochs": ("epoch", "num_epochs", "n_epochs", "nb_epochs", "max_epochs", "num_train_epochs",
               "train_epochs", "training_epochs"),
    "steps": ("num_steps", "max_steps", "train_steps", "training_steps", "total_steps",
              "iterations", "num_iterations", "max_iters"),
    "dataset": ("datasets", "data", "data_set", "train_dataset", "training_data"),
    "train_images": ("train_size", "n_train", "num_train", "training_images", "train_examples",
                     "num_train_examples", "training_set_size", "num_training_images"),
    "initialization": ("init", "initialisation", "initializer", "weight_init",
                       "weight_initialization", "kernel_initializer"),
    "seed": ("random_seed", "rng_seed", "manual_seed", "torch_seed"),
    "activation": ("act", "activation_function", "nonlinearity", "hidden_act"),
    "batch_norm": ("bn", "batchnorm", "use_bn", "use_batchnorm", "use_batch_norm",
                   "batch_normalization", "batch_normalisation"),
    "dropout": ("dropout_rate", "drop_rate", "dropout_p", "p_dropout", "dropout_prob"),
    "loss": ("criterion", "loss_function", "loss_fn", "loss_name", "objective"),
    "label_smoothing": ("smoothing", "label_smoothing_factor"),
    "augmentation": ("aug", "augment", "augmentations", "data_augmentation"),
    "pretrained_from": ("base_model", "pretrained", "finetuned_from", "fine_tuned_from",
                        "pretrained_model", "init_checkpoint"),
    "precision": ("dtype", "torch_dtype", "training_precision", "mixed_precision_training",
                  "mixed_precision"),
    "schedule": ("scheduler", "lr_scheduler", "lr_schedule", "lr_scheduler_type",
                 "learning_rate_schedule"),
    "beta1": ("adam_beta1", "beta_1", "b1"),
    "beta2": ("adam_beta2", "beta_2", "b2"),
    "betas": ("adam_betas",),
    "inputs": ("input_scaling", "input_normalization", "normalization", "preprocessing"),
    "epsilon": ("eps", "adam_epsilon"),
    "classes": ("num_classes", "n_classes", "nb_classes", "num_labels", "number_of_classes"),
    "architecture": ("arch", "network", "model_type", "model_architecture"),
    "checkpoint": ("snapshot", "saved_at"),
    "weight_averaging": ("averaging", "ema", "swa", "use_ema", "model_ema", "ema_decay",
                         "stochastic_weight_averaging"),
    "drop_last": ("dataloader_drop_last",),
    "gradient_clipping": ("max_grad_norm", "grad_clip", "clip_grad_norm", "gradient_clip_val"),
    "gradient_clipping_by": ("gradient_clip_algorithm", "clip_by", "clipping"),
    "output_activation": ("last_activation", "final_activation", "head_activation"),
    "bias_initialization": ("bias_initializer", "bias_init", "initial_biases"),
    "gradient_accumulation": ("gradient_accumulation_steps", "accumulate_grad_batches",
                              "accumulation_steps"),
}  # fmt: skip
"""The claims that are known, and other spellings of their keys."""

_KEY = {other: name for name, others in KEYS.items() for other in (name, *others)}

NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "optimizer": {
        "sgd": ("vanilla_sgd", "plain_sgd", "stochastic_gradient_descent", "gradient_descent"),
        "momentum": ("sgd_momentum", "sgd_with_momentum", "sgdm", "heavy_ball", "msgd"),
        "nesterov": ("nag", "sgd_nesterov", "nesterov_momentum", "sgd_with_nesterov",
                     "sgd_with_nesterov_momentum", "sgd_nesterov_momentum"),
        "adam": ("adam_optimizer", "adamoptimizer"),
        "adamw": ("adam_w", "adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_bnb_8bit",
                  "adamw_8bit", "adamw_apex_fused", "adamw_anyprecision", "paged_adamw",
                  "paged_adamw_8bit", "paged_adamw_32bit", "adamweightdecay", "adamw_torch_xla"),
        "rmsprop": ("rms_prop", "rmsprop_optimizer"),
        "adagrad": (), "adadelta": (), "adamax": (), "nadam": (), "radam": (), "lion": (),
        "lamb": (), "lars": (), "adafactor": (), "asgd": (), "rprop": (), "lbfgs": ("l_bfgs",),
    },
    "loss": {
        "cross_entropy": ("crossentropyloss", "crossentropy", "cross_entropy_loss", "ce", "nll",
                          "nllloss", "nll_loss", "softmax_cross_entropy", "softmax",
                          "categorical_crossentropy", "sparse_categorical_crossentropy",
                          "categorical_cross_entropy"),
        "mse": ("mseloss", "mse_loss", "mean_squared_error", "l2_loss"),
        "bce": ("bceloss", "bcewithlogitsloss", "binary_crossentropy", "binary_cross_entropy",
                "bce_with_logits"),
    },
    "dataset": {
        "mnist": ("mnist_digits", "handwritten_digits_mnist"),
        "fashion_mnist": ("fashionmnist", "fmnist", "f_mnist"),
        "kmnist": ("kuzushiji_mnist", "k_mnist"),
        "emnist": (),
        "cifar10": ("cifar_10",),
        "cifar100": ("cifar_100",),
        "svhn": ("svhn_cropped",),
        "stl10": ("stl_10",),
        "imagenet": ("imagenet1k", "imagenet_1k", "imagenet_2012", "ilsvrc2012"),
    },
    "initialization": {
        "torch_default": ("default", "pytorch_default", "pytorch", "torch"),
        "he_uniform": ("kaiming_uniform", "heuniform"),
        "he_normal": ("kaiming_normal", "henormal"),
        "glorot_uniform": ("xavier_uniform", "glorotuniform"),
        "glorot_normal": ("xavier_normal", "glorotnormal"),
        "lecun_uniform": ("lecununiform",),
        "lecun_normal": ("lecunnormal",),
        "normal": ("random_normal", "gaussian", "standard_normal"),
        "constant": (),
        "orthogonal": (),
    },
    "activation": {
        "relu": ("rectified_linear", "rectifier"),
        "leaky_relu": ("leakyrelu", "lrelu"),
        "elu": (), "gelu": (), "tanh": (), "sigmoid": ("logistic",), "silu": ("swish",),
        "selu": (), "prelu": (), "mish": (), "softplus": (), "hardswish": ("hard_swish",),
        "relu6": (),
    },
    "precision": {
        "float32": ("fp32", "float", "32", "32_true", "single", "full", "f32"),
        "float64": ("fp64", "64", "64_true", "double", "f64"),
        "float16": ("half", "16_true", "f16"),
        "bfloat16": ("bf16_true",),
        "mixed": ("16", "fp16", "bf16", "amp", "native_amp", "16_mixed", "bf16_mixed",
                  "mixed_precision", "mixed_float16", "mixed_bfloat16", "mixed_16_bit"),
    },
    "schedule": {
        "constant": ("none", "no", "fixed", "constantlr"),
        "cosine": ("cosineannealinglr", "cosine_annealing", "cosine_decay"),
        "linear": ("linearlr", "linear_decay", "polynomial_1"),
        "step": ("steplr", "step_decay", "multistep", "multisteplr"),
        "exponential": ("exponentiallr", "exponential_decay"),
        "onecycle": ("one_cycle", "onecyclelr", "1cycle"),
        "plateau": ("reduce_on_plateau", "reducelronplateau", "reduce_lr_on_plateau"),
    },
    "output_activation": {
        "none": ("linear", "identity", "raw", "logits", "no", "false"),
        "softmax": ("log_softmax", "logsoftmax"),
        "relu": (), "sigmoid": (), "tanh": (),
    },
    "bias_initialization": {
        "zeros": ("zero", "0", "0.0", "zeroes"),
        "torch_default": ("default", "pytorch_default", "pytorch", "torch"),
    },
    "gradient_clipping_by": {
        "norm": ("global_norm", "clip_grad_norm", "clip_grad_norm_", "l2_norm"),
        "value": ("clip_grad_value", "clip_grad_value_", "element"),
        "none": ("no", "false"),
    },
    "checkpoint": {
        "last": ("final", "latest", "end", "last_epoch", "final_epoch"),
        "best": ("best_epoch", "best_model", "early_stopping"),
    },
    "inputs": {
        "unit": ("0_1", "unit_interval", "scaled", "totensor"),
        "symmetric": ("1_1", "minus_one_to_one", "from_minus_one_to_one"),
        "centered": ("centred", "mean_subtracted"),
        "standardized": ("standardised", "standardize", "zscore", "z_score", "mean_std"),
    },
    "architecture": {
        "mlp": ("fcn", "fnn", "dnn", "fully_connected", "feedforward", "feed_forward",
                "multilayer_perceptron", "multi_layer_perceptron", "dense"),
        "cnn": ("convnet", "conv", "convolutional", "lenet", "lenet5", "lenet_5", "alexnet",
                "convolutional_neural_network", "vgg11", "vgg13", "vgg16", "vgg19"),
        "resnet": ("residual", "resnet8", "resnet18", "resnet20", "resnet32", "resnet34",
                   "resnet50", "resnet56", "resnet101", "resnet110", "resnet152",
                   "wide_resnet", "wideresnet"),
        "transformer": ("bert", "gpt", "gpt2", "vit", "llama"),
        "recurrent": ("rnn", "lstm", "gru"),
    },
}  # fmt: skip
"""The names that are known, as recipes spell them where they have them, and other spellings."""

_NAME = {
    claim: {other: name for name, others in table.items() for other in (name, *others)}
    for claim, table in NAMES.items()
}
_OWNER = re.compile(r"^[\w.-]+/")
_JOINTS = re.compile(r"[\s\-/+]+")


def plain(text: str) -> str:
    """A key or a name in lower case, its words joined by underscores.

    >>> plain("Fashion-MNIST"), plain(" SGD + Momentum")
    ('fashion_mnist', 'sgd_momentum')
    """
    return _JOINTS.sub("_", text.strip()).strip("_").lower()


def key(text: str) -> str | None:
    """The claim that a key means; None if it is not known.

    >>> key("lr"), key("Batch size"), key("colour")
    ('learning_rate', 'batch_size', None)
    """
    return _KEY.get(plain(text))


def name(claim: str, text: str) -> str:
    """A name as recipes spell it; in lower case if it is not known.

    >>> name("optimizer", "torch.optim.AdamW"), name("dataset", "ylecun/mnist")
    ('adamw', 'mnist')
    """
    bare = text.strip().strip("'\"")
    if claim == "dataset":
        bare = _OWNER.sub("", bare)
        bare = bare.removesuffix(".npz")
    if claim in ("optimizer", "activation", "schedule", "initialization", "precision"):
        bare = bare.rpartition(".")[2] if re.fullmatch(r"[A-Za-z_][\w.]*", bare) else bare
    said = plain(bare)
    return _NAME.get(claim, {}).get(said, said)


def is_known(claim: str, value: object) -> bool:
    """Whether a name is in the table of its claim; other values always are."""
    return claim not in NAMES or value in NAMES[claim]
