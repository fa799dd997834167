"""How much, where and when each hyper-parameter can be read off the weights of a population."""

from weightspace.dissection.result import Dissection, Training, When, Where

__all__ = ["Dissection", "Training", "When", "Where"]
